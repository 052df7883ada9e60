// Shared by the charts: SVG nodes, number formats, round ticks.
const axes = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const svg = (name, attributes = {}, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const plain = (v) => (v === 0 ? "0" : Math.abs(v) < 1e-3 ? v.toExponential(1) : String(+v.toPrecision(3)));
  const FORMS = {
    plain: (v) => String(+v.toPrecision(4)),
    percent: (v) => (v * 100).toFixed(1),
    rate: (v) => v.toFixed(1),
    power: (v) => v.toExponential(2),
  };
  const AXES = { ...FORMS, plain, power: plain, percent: (v) => String(+(v * 100).toPrecision(3)), rate: plain };

  function niceTicks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-6; k += 1) ticks.push(+(k * step).toPrecision(12));
    return { ticks, step };
  }
  function logTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
      for (const factor of [1, 2, 5]) {
        const value = +(factor * 10 ** power).toPrecision(3);
        if (value >= low && value <= high) ticks.push(value);
      }
    }
    return ticks.length > 6 ? ticks.filter((v) => Math.abs(Math.log10(v) % 1) < 1e-6) : ticks;
  }
  // A drawing with a rule for each tick of the vertical axis, and the horizontal axis.
  function ruled(width, height, box, ticks, y, write) {
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const value of ticks) {
      root.append(svg("line", { class: "rule", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      root.append(svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, write(value)));
    }
    root.append(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
    return root;
  }
  return { svg, FORMS, AXES, niceTicks, logTicks, ruled };
})();
