// Saves charts as SVG: a button at every element with data-save. A chart is saved as shown, in the light theme.
const saved = (() => {
  const NS = "http://www.w3.org/2000/svg";
  // Rectangles of a colour scale.
  const STEPS = 32;
  // Pixels; labels may reach over the side of a chart.
  const MARGIN = 16;
  const FONT = "Helvetica, Arial, sans-serif";
  const node = (name, attributes = {}, text) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, typeof value === "number" ? +value.toFixed(2) : value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Any CSS colour as rgb() and opacity, which every drawing program reads; null if it is transparent.
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  function colour(css) {
    if (!colours.has(css)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = "transparent";
      context.fillStyle = css;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, alpha] = context.getImageData(0, 0, 1, 1).data;
      colours.set(css, alpha ? { paint: `rgb(${r}, ${g}, ${b})`, alpha: alpha / 255 } : null);
    }
    return colours.get(css);
  }
  const painted = (key, css) => {
    const found = colour(css);
    if (!found) return { [key]: "none" };
    return found.alpha < 1 ? { [key]: found.paint, [`${key}-opacity`]: found.alpha } : { [key]: found.paint };
  };

  // A copy of an SVG drawing whose styles are attributes.
  function inlined(original) {
    const copy = original.cloneNode(false);
    if (original instanceof Text) return copy;
    const style = getComputedStyle(original);
    if (style.visibility === "hidden" || style.display === "none") return node("g");
    const attributes = { ...painted("fill", style.fill), ...painted("stroke", style.stroke), "stroke-width": parseFloat(style.strokeWidth) };
    if (style.strokeDasharray !== "none") attributes["stroke-dasharray"] = style.strokeDasharray.replaceAll("px", "");
    if (style.opacity !== "1") attributes.opacity = style.opacity;
    if (original.tagName === "text") Object.assign(attributes, { "font-size": parseFloat(style.fontSize), "font-family": FONT });
    if (original.tagName === "svg") attributes.overflow = style.overflow;
    for (const [key, value] of Object.entries(attributes)) copy.setAttribute(key, value);
    for (const name of ["class", "style", "aria-hidden"]) copy.removeAttribute(name);
    copy.append(...[...original.childNodes].map(inlined));
    return copy;
  }

  // The lines of a text node, each where it is shown.
  function lines(text, style) {
    const found = [];
    const range = document.createRange();
    [...text.data].forEach((character, i) => {
      range.setStart(text, i);
      range.setEnd(text, i + 1);
      const [box] = range.getClientRects();
      if (!box) return;
      const last = found.at(-1);
      if (last && Math.abs(last.top - box.top) < 2) last.text += character;
      else found.push({ left: box.left, top: box.top, bottom: box.bottom, text: character });
    });
    const size = parseFloat(style.fontSize);
    return found.filter((line) => line.text.trim()).map((line) => node("text", {
      x: line.left, y: (line.top + line.bottom) / 2 + 0.35 * size, "font-size": size, "font-weight": style.fontWeight,
      "font-family": FONT, ...painted("fill", style.color),
    }, line.text.trimEnd()));
  }

  // Background, grid lines and borders of an element.
  function boxes(element, style, box) {
    const made = [];
    const { left, top, right, bottom, width, height } = box;
    const line = (x1, y1, x2, y2, css, thick) => made.push(node("line", { x1, y1, x2, y2, ...painted("stroke", css), "stroke-width": thick }));
    const grid = style.backgroundImage.match(/^repeating-linear-gradient\((?:(\d+)deg, )?(rgba?\([^)]*\)|color\([^)]*\)).* ([\d.]+)%\)$/);
    if (grid) {
      const [, angle, css, percent] = grid;
      for (let at = 0; at < 99.9; at += Number(percent)) {
        if (angle === "90") line(left + (width * at) / 100, top, left + (width * at) / 100, bottom, css, 1);
        else line(left, bottom - (height * at) / 100, right, bottom - (height * at) / 100, css, 1);
      }
    }
    // A hatching is saved as a tint, a colour scale as its colours in steps.
    const hatch = style.backgroundImage.match(/^repeating-linear-gradient\(135deg, (rgba?\([^)]*\))/);
    if (hatch) made.push(node("rect", { x: left, y: top, width, height, ...painted("fill", hatch[1]), opacity: 0.4 }));
    const ramp = style.backgroundImage.match(/^linear-gradient\(90deg, (rgb\([^)]*\)), (rgb\([^)]*\))\)$/);
    for (let step = 0; ramp && step < STEPS; step += 1) {
      const part = (step + 0.5) / STEPS;
      const mixed = `color-mix(in srgb, ${ramp[1]}, ${ramp[2]} ${100 * part}%)`;
      made.push(node("rect", { x: left + (width * step) / STEPS, y: top, width: width / STEPS + 0.1, height, ...painted("fill", mixed) }));
    }
    const border = parseFloat(style.borderTopWidth);
    const closed = ["Right", "Bottom", "Left"].every((side) => parseFloat(style[`border${side}Width`]) === border) && style.borderTopStyle !== "none";
    const outline = closed && border > 0 && colour(style.borderTopColor);
    if (colour(style.backgroundColor) || outline) {
      const inset = outline ? border / 2 : 0;
      made.push(node("rect", {
        x: left + inset, y: top + inset, width: Math.max(0, width - 2 * inset), height: Math.max(0, height - 2 * inset),
        rx: Math.min(parseFloat(style.borderTopLeftRadius) * (style.borderTopLeftRadius.endsWith("%") ? width / 100 : 1), width / 2),
        ...painted("fill", style.backgroundColor), ...(outline ? { ...painted("stroke", style.borderTopColor), "stroke-width": border } : {}),
      }));
    }
    if (!closed) {
      const sides = { Top: [left, top, right, top], Right: [right, top, right, bottom], Bottom: [left, bottom, right, bottom], Left: [left, top, left, bottom] };
      for (const [side, ends] of Object.entries(sides)) {
        const thick = style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`]);
        if (thick && colour(style[`border${side}Color`])) line(...ends, style[`border${side}Color`], thick);
      }
    }
    if (element.classList.contains("whisker")) line(left, (top + bottom) / 2, right, (top + bottom) / 2, style.borderLeftColor, 1.5);
    return made;
  }

  function draw(element, into, root) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (style.display === "none" || style.visibility === "hidden" || element.matches("button:not(.legend button), details, .readout")) return;
    if (element instanceof SVGElement) {
      const copy = inlined(element);
      for (const [key, value] of Object.entries({ x: box.left, y: box.top, width: box.width, height: box.height })) copy.setAttribute(key, value);
      into.append(copy);
      return;
    }
    if (element.toSvg) {
      const group = node("g", { transform: `translate(${box.left} ${box.top})` });
      group.append(...element.toSvg());
      into.append(group);
      return;
    }
    if (element !== root) into.append(...boxes(element, style, box));
    for (const child of element.childNodes) {
      if (child instanceof Text) into.append(...lines(child, style));
      else if (child instanceof Element) draw(child, into, root);
    }
  }

  function svgOf(element) {
    const { theme } = document.documentElement.dataset;
    document.documentElement.dataset.theme = "light";
    const frame = element.getBoundingClientRect();
    const [left, top, width, height] = [frame.left - MARGIN, frame.top - MARGIN, frame.width + 2 * MARGIN, frame.height + 2 * MARGIN];
    const root = node("svg", { xmlns: NS, width, height, viewBox: `${left} ${top} ${width} ${height}` });
    root.append(node("title", {}, `${document.title}: ${element.dataset.save}`));
    root.append(node("rect", { x: left, y: top, width, height, fill: "white" }));
    draw(element, root, element);
    document.documentElement.dataset.theme = theme;
    return new XMLSerializer().serializeToString(root);
  }

  for (const element of document.querySelectorAll("[data-save]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "SVG";
    button.setAttribute("aria-label", `Save as SVG: ${element.dataset.save}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([svgOf(element)], { type: "image/svg+xml" }));
      link.download = `${document.title} ${element.dataset.save}.svg`.toLowerCase().replaceAll(/[^a-z0-9.]+/g, "-");
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    element.append(button);
  }

  // The part of a canvas context that charts draw with, recorded as SVG nodes.
  class Recorder {
    constructor(measure) {
      this.measure = measure;
      this.nodes = [];
      this.turn = "";
      this.globalAlpha = 1;
      this.lineWidth = 1;
    }
    measureText(text) { this.measure.font = this.font; return this.measure.measureText(text); }
    record(name, attributes, text) {
      if (this.globalAlpha < 1) attributes.opacity = this.globalAlpha;
      if (this.turn) attributes.transform = this.turn;
      this.nodes.push(node(name, attributes, text));
    }
    fillRect(x, y, width, height) { this.record("rect", { x, y, width, height, ...painted("fill", this.fillStyle) }); }
    strokeRect(x, y, width, height) {
      this.record("rect", { x, y, width, height, fill: "none", ...painted("stroke", this.strokeStyle), "stroke-width": this.lineWidth });
    }
    fillText(text, x, y) {
      const anchor = { center: "middle", right: "end" }[this.textAlign] ?? "start";
      this.record("text", { x, y, "text-anchor": anchor, "font-size": parseFloat(this.font), "font-family": FONT, ...painted("fill", this.fillStyle) }, text);
    }
    save() {}
    restore() { this.turn = ""; }
    translate(x, y) { this.turn += `translate(${x.toFixed(2)} ${y.toFixed(2)})`; }
    rotate(angle) { this.turn += ` rotate(${((angle * 180) / Math.PI).toFixed(2)})`; }
  }
  return { Recorder };
})();
