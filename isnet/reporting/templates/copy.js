// Buttons that copy a table as text. Without a clipboard (pages opened from disk, some browsers), the text is shown and selected.
(() => {
  const fallback = (host, text) => {
    const area = host.querySelector("textarea") ?? document.createElement("textarea");
    area.readOnly = true;
    area.rows = Math.min(12, text.split("\n").length);
    area.value = text;
    area.setAttribute("aria-label", "The table as text");
    host.append(area);
    area.focus();
    area.select();
    // Deprecated, but works without the clipboard API.
    return document.execCommand("copy");
  };
  const write = async (host, text) => {
    try {
      await navigator.clipboard.writeText(text);
      host.querySelector("textarea")?.remove();
      return true;
    } catch {
      return fallback(host, text);
    }
  };
  for (const host of document.querySelectorAll("[data-copy]")) {
    const status = document.createElement("span");
    status.setAttribute("role", "status");
    status.className = "quiet";
    const buttons = ["Markdown", "LaTeX"].map((form) => {
      const text = reportData.copies[host.dataset.copy][form];
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = form;
      button.setAttribute("aria-label", `Copy the table as ${form}`);
      button.addEventListener("click", async () => {
        const copied = await write(host, text);
        status.textContent = copied ? `Copied as ${form}.` : "Selected below: copy it with Ctrl+C or ⌘C.";
      });
      return button;
    });
    host.append("Copy as", ...buttons, status);
    host.hidden = false;
  }
})();
