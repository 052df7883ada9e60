// Buttons that copy a table in another form. From disk, and in some browsers, there is no clipboard: then the text is shown, selected.
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
    // Old, and still the only way where the new one is missing.
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
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    said.className = "quiet";
    const buttons = ["Markdown", "LaTeX"].map((form) => {
      const text = reportData.copies[host.dataset.copy][form];
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = form;
      button.setAttribute("aria-label", `Copy the table as ${form}`);
      button.addEventListener("click", async () => {
        const copied = await write(host, text);
        said.textContent = copied ? `Copied as ${form}.` : "Selected below: copy it with Ctrl+C or ⌘C.";
      });
      return button;
    });
    host.append("Copy as", ...buttons, said);
    host.hidden = false;
  }
})();
