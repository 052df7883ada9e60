// One tooltip for the page. Elements with data-tip show it under the pointer; charts call it themselves.
const tip = (() => {
  const box = document.getElementById("tip");
  const place = (x, y) => {
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
    box.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
    box.style.top = `${Math.max(4, Math.min(y - height - 12, innerHeight - height - 4))}px`;
  };
  const text = (content, x, y) => { box.textContent = content; place(x, y); };
  const rows = (title, entries, x, y) => {
    box.replaceChildren(title, ...entries.map(({ name, value, style }) => {
      const row = document.createElement("div");
      row.className = `row s-${style % 8}`;
      const key = document.createElement("span");
      key.className = "key";
      const number = document.createElement("b");
      number.textContent = value;
      row.append(key, name, number);
      return row;
    }));
    place(x, y);
  };
  const hide = () => { box.hidden = true; };
  const owner = (event) => event.target.closest?.("[data-tip]");
  const follow = (event) => {
    const element = owner(event);
    if (element) text(element.dataset.tip, event.clientX, event.clientY);
  };
  document.addEventListener("pointermove", follow);
  document.addEventListener("pointerdown", follow);
  document.addEventListener("pointerout", (event) => { if (owner(event)) hide(); });
  addEventListener("scroll", hide, { passive: true });
  return { text, rows, hide };
})();
const reportData = JSON.parse(document.getElementById("data").textContent);
