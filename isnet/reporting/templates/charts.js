// Line charts over iterations, drawn as SVG at the size they are shown, so that text keeps its size on a phone.
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const DASHES = ["", "7 4", "2 4", "9 3 2 3"];
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
  const iteration = (v) => (v >= 1e4 && v % 1e3 === 0 ? `${v / 1e3}k` : String(v));

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

  class LineChart {
    constructor(figure, spec) {
      this.spec = spec;
      this.plot = figure.querySelector(".plot");
      this.hidden = new Set();
      this.at = null;
      this.legend(figure.querySelector(".legend"));
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", () => this.leave());
      this.plot.addEventListener("blur", () => this.leave());
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }
    get lines() { return this.spec.lines.filter((line) => !this.hidden.has(line.name)); }

    legend(list) {
      if (this.spec.lines.length < 2) return;
      for (const line of this.spec.lines) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = `s-${line.style % 8}`;
        button.setAttribute("aria-pressed", "true");
        button.title = "Show or hide";
        const key = svg("svg", { "aria-hidden": "true" });
        key.append(svg("line", { x1: 1, y1: 5, x2: 25, y2: 5, "stroke-dasharray": DASHES[Math.floor(line.style / 8) % 4] }));
        button.append(key, line.name);
        button.addEventListener("click", () => {
          const shown = this.hidden.delete(line.name);
          if (!shown) this.hidden.add(line.name);
          button.setAttribute("aria-pressed", String(shown));
          this.draw();
        });
        // Among thirty lines, one is found by its name.
        const single = (on) => {
          this.plot.classList.toggle("focused", on);
          for (const node of this.plot.querySelectorAll(".line")) node.classList.toggle("chosen", node.dataset.name === line.name);
        };
        button.addEventListener("pointerenter", () => single(true));
        button.addEventListener("pointerleave", () => single(false));
        const item = document.createElement("li");
        item.append(button);
        list.append(item);
      }
    }

    scales(width, height) {
      const { log, zero, form } = this.spec;
      const xs = this.lines.flatMap((line) => line.x);
      const ys = this.lines.flatMap((line) => line.y).filter((v) => v !== null && (!log || v > 0));
      const max = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
      const min = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
      let low = ys.length ? min(ys) : 0;
      let high = ys.length ? max(ys) : 1;
      let ticks;
      if (log && ys.length) {
        low *= 0.9; high *= 1.1;
        ticks = logTicks(low, high);
      } else {
        if (zero) low = Math.min(0, low);
        if (high === low) high = low + (form === "percent" ? 0.01 : 1);
        const nice = niceTicks(low, high, Math.max(2, Math.floor(height / 52)));
        high = Math.max(high, Math.ceil(high / nice.step - 1e-9) * nice.step);
        ticks = niceTicks(low, high, Math.round((high - low) / nice.step)).ticks;
      }
      const left = 14 + 7.2 * Math.max(2, ...ticks.map((v) => AXES[form](v).length));
      const [x0, x1] = xs.length ? [Math.min(0, min(xs)), max(xs)] : [0, 1];
      const box = { left, right: width - 12, top: 10, bottom: height - 38 };
      const level = (v) => (log ? Math.log(v) : v);
      return {
        box, ticks, x0, x1,
        x: (v) => box.left + ((v - x0) / (x1 - x0 || 1)) * (box.right - box.left),
        y: (v) => box.bottom - ((level(v) - level(low)) / (level(high) - level(low))) * (box.bottom - box.top),
      };
    }

    draw() {
      const { clientWidth: width, clientHeight: height } = this.plot;
      if (!width) return;
      const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      const scale = (this.scale = this.scales(width, height));
      const { box } = scale;
      for (const value of scale.ticks) {
        const y = scale.y(value);
        root.append(svg("line", { class: "rule", x1: box.left, x2: box.right, y1: y, y2: y }));
        root.append(svg("text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, AXES[this.spec.form](value)));
      }
      root.append(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
      for (const value of niceTicks(scale.x0, scale.x1, Math.max(2, Math.floor(width / 95))).ticks) {
        if (value % 1) continue;
        root.append(svg("text", { x: scale.x(value), y: box.bottom + 17, "text-anchor": "middle" }, iteration(value)));
      }
      root.append(svg("text", { x: box.right, y: box.bottom + 34, "text-anchor": "end" }, "iteration"));
      for (const line of this.lines) root.append(this.line(line, scale));
      this.marks = svg("g");
      root.append(this.marks);
      this.plot.replaceChildren(root);
      if (this.at !== null) this.show(this.at);
    }

    line(line, scale) {
      const group = svg("g", { class: `line s-${line.style % 8}`, "data-name": line.name });
      let path = "";
      let pen = "M";
      line.x.forEach((x, i) => {
        const y = line.y[i];
        if (y === null || (this.spec.log && y <= 0)) { pen = "M"; return; }
        path += `${pen}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`;
        pen = "L";
      });
      group.append(svg("path", { class: "series", d: path, "stroke-dasharray": DASHES[Math.floor(line.style / 8) % 4] }));
      if (line.x.length <= 30) {
        line.x.forEach((x, i) => {
          if (line.y[i] !== null) group.append(svg("circle", { class: "dot", cx: scale.x(x), cy: scale.y(line.y[i]), r: 3 }));
        });
      }
      return group;
    }

    get stops() { return [...new Set(this.lines.flatMap((line) => line.x))].sort((a, b) => a - b); }

    point(event) {
      const inside = event.clientX - this.plot.getBoundingClientRect().left;
      const near = this.stops.reduce((best, x) =>
        (best === null || Math.abs(this.scale.x(x) - inside) < Math.abs(this.scale.x(best) - inside) ? x : best), null);
      if (near !== null) this.show(near, event);
    }
    key(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const stops = this.stops;
      if (event.key === "Escape") this.leave();
      if (!step || !stops.length) return;
      event.preventDefault();
      const index = this.at === null ? (step > 0 ? 0 : stops.length - 1) : stops.indexOf(this.at) + step;
      this.show(stops[Math.max(0, Math.min(stops.length - 1, index))]);
    }
    show(x, event) {
      this.at = x;
      const at = this.scale.x(x);
      const { box } = this.scale;
      this.marks.replaceChildren(svg("line", { class: "cross", x1: at, x2: at, y1: box.top, y2: box.bottom }));
      const entries = [];
      for (const line of this.lines) {
        const y = line.y[line.x.indexOf(x)];
        if (y === undefined || y === null) continue;
        const group = svg("g", { class: `s-${line.style % 8}` });
        group.append(svg("circle", { class: "dot", cx: at, cy: this.scale.y(y), r: 4 }));
        this.marks.append(group);
        entries.push({ y, name: line.name, style: line.style, value: `${FORMS[this.spec.form](y)} ${this.spec.unit.startsWith("%") ? "%" : ""}` });
      }
      entries.sort((a, b) => b.y - a.y);
      const frame = this.plot.getBoundingClientRect();
      const title = entries.length > 12 ? `iteration ${x}, highest 12 of ${entries.length}` : `iteration ${x}`;
      tip.rows(title, entries.slice(0, 12), event ? event.clientX : frame.left + at, event ? event.clientY : frame.top + 40);
    }
    leave() {
      this.at = null;
      this.marks?.replaceChildren();
      tip.hide();
    }
  }
  const specs = new Map(reportData.charts.map((spec) => [spec.key, spec]));
  for (const figure of document.querySelectorAll("[data-chart]")) new LineChart(figure, specs.get(figure.dataset.chart));

  // Class rows: the order of the data set, or best first.
  for (const button of document.querySelectorAll("[data-sort]")) {
    const list = document.getElementById(button.dataset.sort);
    const rows = [...list.querySelectorAll("[data-value]")];
    button.hidden = false;
    button.addEventListener("click", () => {
      const sorted = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(sorted));
      list.append(...(sorted ? [...rows].sort((a, b) => b.dataset.value - a.dataset.value) : rows));
    });
  }
})();
