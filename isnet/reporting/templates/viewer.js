// Overlay viewer. Without scripts every scene is listed; with them one is shown at a time, in the chosen view.
(() => {
  const button = (label, pressed, act) => {
    const node = document.createElement("button");
    node.type = "button";
    node.setAttribute("aria-pressed", String(pressed));
    node.append(label);
    node.addEventListener("click", act);
    return node;
  };
  const press = (buttons, chosen) => buttons.forEach((node, i) => node.setAttribute("aria-pressed", String(i === chosen)));

  for (const viewer of document.querySelectorAll(".viewer")) {
    const scenes = [...viewer.querySelectorAll(".scene")];
    const views = JSON.parse(viewer.dataset.views);
    const controls = document.createElement("div");
    controls.className = "viewer-controls";
    const strip = document.createElement("div");
    strip.className = "strip";
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", "Images");
    let scene = 0;

    const choose = (index) => {
      scene = (index + scenes.length) % scenes.length;
      scenes.forEach((node, i) => { node.hidden = i !== scene; });
      press(thumbs, scene);
      // Not scrollIntoView, which would move the page as well.
      const thumb = thumbs[scene];
      strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - (strip.clientWidth - thumb.offsetWidth) / 2;
    };
    const look = (index) => {
      const kinds = views[index].kinds;
      for (const figure of viewer.querySelectorAll(".pictures figure")) figure.hidden = !kinds.includes(figure.dataset.kind);
      for (const grid of viewer.querySelectorAll(".pictures")) grid.classList.toggle("single", kinds.length === 1);
      press(tabs, index);
    };
    const thumbs = scenes.map((node, i) => {
      const thumb = document.createElement("img");
      thumb.src = node.querySelector("img").src;
      thumb.alt = "";
      const entry = button(thumb, false, () => choose(i));
      entry.append(node.dataset.score ? `${node.dataset.score} %` : "–");
      entry.title = node.dataset.name;
      entry.setAttribute("aria-label", `${node.dataset.name}, mIoU ${node.dataset.score || "unknown"} %`);
      return entry;
    });
    const tabs = views.map((view, i) => button(view.label, false, () => look(i)));
    const group = document.createElement("div");
    group.className = "buttons";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "View");
    group.append(...tabs);
    const turn = document.createElement("div");
    turn.className = "buttons";
    turn.append(button("← Previous", false, () => choose(scene - 1)), button("Next →", false, () => choose(scene + 1)));
    turn.querySelectorAll("button").forEach((node) => node.removeAttribute("aria-pressed"));
    controls.append(group);
    strip.append(...thumbs);
    if (scenes.length > 1) { controls.append(turn); viewer.prepend(strip); }
    viewer.prepend(controls);
    viewer.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const number = Number(event.key) - 1;
      if (step) { event.preventDefault(); choose(scene + step); }
      else if (number >= 0 && number < views.length) look(number);
    });
    choose(0);
    look(0);
    nameUnderPointer(viewer);
  }

  // The class under the pointer, read from the exact colour of a truth or a prediction.
  function nameUnderPointer(viewer) {
    const names = new Map([...viewer.querySelectorAll("[data-rgb]")].map((item) => [item.dataset.rgb, item.textContent.trim()]));
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let loaded = null;
    viewer.addEventListener("pointermove", (event) => {
      const image = event.target;
      if (!(image instanceof HTMLImageElement) || !image.classList.contains("labels")) { tip.hide(); return; }
      if (loaded !== image) {
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        context.drawImage(image, 0, 0);
        loaded = image;
      }
      const frame = image.getBoundingClientRect();
      const x = Math.min(canvas.width - 1, Math.floor(((event.clientX - frame.left) / frame.width) * canvas.width));
      const y = Math.min(canvas.height - 1, Math.floor(((event.clientY - frame.top) / frame.height) * canvas.height));
      const [r, g, b] = context.getImageData(x, y, 1, 1).data;
      const name = names.get(`${r},${g},${b}`);
      if (name) tip.text(name, event.clientX, event.clientY);
      else tip.hide();
    });
    viewer.addEventListener("pointerleave", () => tip.hide());
  }
})();
