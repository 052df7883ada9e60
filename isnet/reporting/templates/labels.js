// Samples: labels over the photograph with adjustable opacity, outlines and names. Without scripts both are side by side.
(() => {
  const LIGHT = [255, 255, 255, 255], DARK = [20, 20, 20, 255], STRIPE = [30, 30, 30, 200];
  const FINE = 900;  // Pixels of an outline's canvas, so that a line is fine on a small mask.
  const samples = document.querySelector(".samples");
  const pack = (r, g, b) => (r << 16) | (g << 8) | b;
  const ignored = pack(...reportData.ignored.split(",").map(Number));

  const slider = document.getElementById("opacity");
  const blend = () => {
    samples.style.setProperty("--labels", slider.value / 100);
    document.querySelector("output[for=opacity]").textContent = `${slider.value} %`;
  };
  slider.addEventListener("input", blend);
  slider.closest(".blend").hidden = false;
  blend();

  // Where two classes meet: a dark line beside a light one, seen on every colour. Ignored pixels: stripes.
  const outline = (labels) => {
    const canvas = document.createElement("canvas");
    const times = Math.max(1, Math.ceil(FINE / labels.naturalWidth));
    const width = canvas.width = labels.naturalWidth * times;
    const height = canvas.height = labels.naturalHeight * times;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = false;
    context.drawImage(labels, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const drawn = context.createImageData(width, height);
    const classes = new Uint32Array(width * height);
    for (let i = 0; i < classes.length; i++) classes[i] = pack(data[4 * i], data[4 * i + 1], data[4 * i + 2]);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const own = classes[i];
        if ((x + 1 < width && classes[i + 1] !== own) || (y + 1 < height && classes[i + width] !== own)) drawn.data.set(DARK, 4 * i);
        else if ((x && classes[i - 1] !== own) || (y && classes[i - width] !== own)) drawn.data.set(LIGHT, 4 * i);
        else if (own === ignored && (x + y) % 14 < 5) drawn.data.set(STRIPE, 4 * i);
      }
    }
    context.putImageData(drawn, 0, 0);
    return canvas;
  };
  const stack = async (sample) => {
    const overlay = sample.querySelector(".overlay");
    const labels = overlay.querySelector(".labels");
    const photo = sample.querySelector(".photo img").cloneNode();
    photo.alt = "";
    overlay.prepend(photo);
    overlay.classList.add("stacked");
    await labels.decode();
    overlay.append(outline(labels));
  };
  samples.classList.add("stackable");
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter(({ isIntersecting }) => isIntersecting)) {
      near.unobserve(entry.target);
      stack(entry.target);
    }
  }, { rootMargin: "600px" });
  for (const sample of samples.querySelectorAll(".sample")) near.observe(sample);

  // The class under the pointer: no two of them have the same colour in the masks.
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let loaded = null;
  const name = (event) => {
    const labels = event.target;
    if (!(labels instanceof HTMLImageElement) || !labels.classList.contains("labels")) { tip.hide(); return; }
    if (loaded !== labels) {
      [canvas.width, canvas.height] = [labels.naturalWidth, labels.naturalHeight];
      context.drawImage(labels, 0, 0);
      loaded = labels;
    }
    const frame = labels.getBoundingClientRect();
    const at = (place, start, length, pixels) => Math.max(0, Math.min(pixels - 1, Math.floor(((place - start) / length) * pixels)));
    const x = at(event.clientX, frame.left, frame.width, canvas.width);
    const y = at(event.clientY, frame.top, frame.height, canvas.height);
    const [r, g, b] = context.getImageData(x, y, 1, 1).data;
    const found = reportData.names[`${r},${g},${b}`];
    if (found) tip.text(found, event.clientX, event.clientY);
    else tip.hide();
  };
  samples.addEventListener("pointermove", name);
  samples.addEventListener("pointerdown", name);
  samples.addEventListener("pointerleave", () => tip.hide());
})();
