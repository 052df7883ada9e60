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
    const inside = scenes.map((node) => JSON.parse(node.dataset.classes || "{}"));
    const filter = classFilter(inside);
    let scene = 0;
    let shown = scenes.map((_, i) => i);

    const choose = (index) => {
      scene = index;
      scenes.forEach((node, i) => { node.hidden = i !== scene; });
      press(thumbs, scene);
      // Not scrollIntoView, which would move the page as well.
      const thumb = thumbs[scene];
      strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - (strip.clientWidth - thumb.offsetWidth) / 2;
    };
    const go = (step) => choose(shown[(shown.indexOf(scene) + step + shown.length) % shown.length]);
    const look = (index) => {
      const kinds = views[index].kinds;
      for (const figure of viewer.querySelectorAll(".pictures figure")) figure.hidden = !kinds.includes(figure.dataset.kind);
      for (const grid of viewer.querySelectorAll(".pictures")) grid.classList.toggle("single", kinds.length === 1);
      press(tabs, index);
    };
    const caption = (i) => {
      const score = filter.value ? (inside[i][filter.value] * 100).toFixed(1) : scenes[i].dataset.score;
      return score ? `${score} %` : "–";
    };
    // Show only images with the class, lowest IoU first.
    const sift = () => {
      const name = filter.value;
      shown = scenes.map((_, i) => i).filter((i) => !name || Object.hasOwn(inside[i], name));
      if (name) shown.sort((a, b) => inside[a][name] - inside[b][name]);
      thumbs.forEach((node, i) => {
        node.hidden = !shown.includes(i);
        node.lastChild.textContent = caption(i);
        node.setAttribute("aria-label", `${scenes[i].dataset.name}, ${name ? `IoU of ${name}` : "mIoU"} ${caption(i)}`);
      });
      strip.append(...shown.map((i) => thumbs[i]));
      for (const item of viewer.querySelectorAll(".inside li")) {
        item.classList.toggle("chosen", Boolean(name) && item.querySelector("span:not(.swatch)").textContent === name);
      }
      choose(shown[0]);
    };
    const thumbs = scenes.map((node, i) => {
      const thumb = document.createElement("img");
      thumb.src = node.querySelector("img").src;
      thumb.alt = "";
      const entry = button(thumb, false, () => choose(i));
      entry.append(document.createTextNode(""));
      entry.title = node.dataset.name;
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
    turn.append(button("← Previous", false, () => go(-1)), button("Next →", false, () => go(1)));
    turn.querySelectorAll("button").forEach((node) => node.removeAttribute("aria-pressed"));
    controls.append(group);
    if (filter.options.length > 1) {
      const label = document.createElement("label");
      label.append("Class", filter);
      filter.addEventListener("change", sift);
      controls.append(label);
    }
    if (scenes.length > 1) { controls.append(turn); viewer.prepend(strip); }
    viewer.prepend(controls);
    viewer.addEventListener("keydown", (event) => {
      // The list of classes uses the arrow keys itself.
      if (event.target === filter) return;
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const number = Number(event.key) - 1;
      if (step) { event.preventDefault(); go(step); }
      else if (number >= 0 && number < views.length) look(number);
    });
    swipe(viewer, go);
    for (const link of document.querySelectorAll("a[data-scene]")) {
      link.addEventListener("click", () => {
        filter.value = "";
        sift();
        choose(Math.max(0, scenes.findIndex((node) => node.dataset.name === link.dataset.scene)));
      });
    }
    sift();
    look(0);
    nameUnderPointer(viewer);
  }

  // Every class that an image contains, with the number of such images.
  function classFilter(inside) {
    const select = document.createElement("select");
    const counts = new Map();
    for (const name of inside.flatMap(Object.keys)) counts.set(name, (counts.get(name) || 0) + 1);
    select.append(new Option("all", ""));
    for (const name of [...counts.keys()].sort()) select.append(new Option(`${name} (${counts.get(name)})`, name));
    return select;
  }

  // Swiping sideways over an image shows the next; up and down scrolls the page.
  function swipe(viewer, go) {
    let from = null;
    viewer.addEventListener("touchstart", (event) => {
      const on = event.target.closest(".pictures") && event.touches.length === 1;
      from = on ? event.touches[0] : null;
    }, { passive: true });
    viewer.addEventListener("touchend", (event) => {
      if (!from) return;
      const to = event.changedTouches[0];
      const [x, y] = [to.clientX - from.clientX, to.clientY - from.clientY];
      if (Math.abs(x) > 40 && Math.abs(x) > 2 * Math.abs(y)) go(x < 0 ? 1 : -1);
      from = null;
    });
  }

  // Shows the class under the pointer, by the exact colour of a label or prediction.
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
