// Runs in the head, before the first paint: the reader's choice, else the system's.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try { return localStorage.getItem("isnet-theme"); } catch { return null; }
  };
  const apply = () => {
    root.dataset.theme = stored() || (dark.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      const other = root.dataset.theme === "dark" ? "Light" : "Dark";
      button.textContent = other;
      button.setAttribute("aria-label", `Switch to the ${other.toLowerCase()} theme`);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("isnet-theme", next); } catch { /* private window: not remembered */ }
      root.dataset.theme = next;
      document.dispatchEvent(new Event("themechange"));
    });
    document.addEventListener("themechange", label);
    label();
  });
})();
