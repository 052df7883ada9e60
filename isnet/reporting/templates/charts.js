// Line charts over iterations, drawn as SVG at the size they are shown, so that text keeps its size on a phone.
(() => {
  const { svg, FORMS, AXES, niceTicks, logTicks, ruled } = axes;
  const DASHES = ["", "7 4", "2 4", "9 3 2 3"];
  // A drag shorter than this is a click.
  const DRAG = 8;
  const iteration = (v) => (v >= 1e4 && v % 1e3 === 0 ? `${v / 1e3}k` : String(v));

  class LineChart {
    constructor(figure, spec) {
      this.spec = spec;
      this.plot = figure.querySelector(".plot");
      this.hidden = new Set();
      this.at = null;
      // Visible range of x, [from, to]; null: all.
      this.range = null;
      this.from = null;
      this.legend(figure.querySelector(".legend"));
      this.whole(figure);
      this.plot.addEventListener("pointerdown", (event) => this.press(event));
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerup", (event) => this.release(event));
      this.plot.addEventListener("pointercancel", () => { this.from = null; this.band.remove(); this.leave(); });
      this.plot.addEventListener("pointerleave", () => this.leave());
      this.plot.addEventListener("dblclick", () => this.zoom(null));
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
        // Pointing at a name highlights its line among many.
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

    whole(figure) {
      this.reset = document.createElement("button");
      this.reset.type = "button";
      this.reset.className = "whole";
      this.reset.textContent = "Show all";
      this.reset.hidden = true;
      this.reset.addEventListener("click", () => { this.zoom(null); this.plot.focus(); });
      figure.querySelector("figcaption").append(this.reset);
    }

    get full() {
      const xs = this.lines.flatMap((line) => line.x);
      return xs.length ? [xs.reduce((a, b) => Math.min(a, b), 0), xs.reduce((a, b) => Math.max(a, b))] : [0, 1];
    }
    inside(x) { return !this.range || (x >= this.range[0] && x <= this.range[1]); }

    // Show x from..to, at least two points; null shows all.
    zoom(range) {
      if (range) {
        const [first, last] = this.full;
        const [from, to] = [Math.max(first, Math.min(...range)), Math.min(last, Math.max(...range))];
        const stops = this.stops;
        const left = stops.filter((x) => x <= from).at(-1) ?? first;
        const right = stops.find((x) => x >= to) ?? last;
        const few = stops.filter((x) => x >= from && x <= to).length < 2;
        range = few ? [left, right] : [from, to];
        if (range[0] >= range[1] || (range[0] <= first && range[1] >= last)) range = null;
      }
      this.range = range;
      this.at = null;
      this.reset.hidden = !range;
      tip.hide();
      this.draw();
    }
    // Scale the visible range by `factor` around the current point; it stays inside the chart.
    scaleBy(factor) {
      const [first, last] = this.full;
      const [from, to] = this.range ?? this.full;
      const { at } = this;
      const middle = at ?? (from + to) / 2;
      const width = Math.min(last - first, (to - from) * factor);
      const left = Math.max(first, Math.min(last - width, middle - (middle - from) * factor));
      this.zoom([left, left + width]);
      if (at !== null && this.inside(at)) this.show(at);
    }

    scales(width, height) {
      const { log, form } = this.spec;
      // A zoomed axis need not include zero.
      const zero = !this.range;
      const ys = this.lines.flatMap((line) => line.y.filter((v, i) => v !== null && (!log || v > 0) && this.inside(line.x[i])));
      const max = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
      const min = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
      let low = ys.length ? min(ys) : 0;
      let high = ys.length ? max(ys) : 1;
      let ticks;
      if (log && ys.length) {
        low *= 0.9; high *= 1.1;
        ticks = logTicks(low, high);
        // Within a decade there may be none.
        if (ticks.length < 2) ticks = niceTicks(low, high, 4).ticks;
      } else {
        if (zero) low = Math.min(0, low);
        if (high === low) high = low + (form === "percent" ? 0.01 : 1);
        const nice = niceTicks(low, high, Math.max(2, Math.floor(height / 52)));
        high = Math.max(high, Math.ceil(high / nice.step - 1e-9) * nice.step);
        if (!zero) low = Math.min(low, Math.floor(low / nice.step + 1e-9) * nice.step);
        ticks = niceTicks(low, high, Math.round((high - low) / nice.step)).ticks;
      }
      const left = 14 + 7.2 * Math.max(2, ...ticks.map((v) => AXES[form](v).length));
      const [x0, x1] = this.range ?? this.full;
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
      const scale = (this.scale = this.scales(width, height));
      const { box } = scale;
      const root = ruled(width, height, box, scale.ticks, scale.y, AXES[this.spec.form]);
      for (const value of niceTicks(scale.x0, scale.x1, Math.max(2, Math.floor(width / 95))).ticks) {
        if (value % 1) continue;
        root.append(svg("text", { x: scale.x(value), y: box.bottom + 17, "text-anchor": "middle" }, iteration(value)));
      }
      root.append(svg("text", { x: box.right, y: box.bottom + 34, "text-anchor": "end" }, "iteration"));
      // Zoomed lines are clipped, with room for half a point.
      const view = { x: box.left - 4, y: box.top - 6, width: box.right - box.left + 8, height: box.bottom - box.top + 10 };
      const pane = svg("svg", { ...view, viewBox: Object.values(view).join(" "), class: this.range ? "part" : "" });
      for (const line of this.lines) pane.append(this.line(line, scale));
      this.marks = svg("g");
      this.band = svg("rect", { class: "band", y: box.top, height: box.bottom - box.top });
      root.append(pane, this.marks);
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

    near(event) {
      const inside = event.clientX - this.plot.getBoundingClientRect().left;
      return this.stops.filter((x) => this.inside(x)).reduce((best, x) =>
        (best === null || Math.abs(this.scale.x(x) - inside) < Math.abs(this.scale.x(best) - inside) ? x : best), null);
    }
    // Where the pointer is, in pixels of the plot, and the iteration there.
    place(event) {
      const { box, x0, x1 } = this.scale;
      const pixel = Math.max(box.left, Math.min(box.right, event.clientX - this.plot.getBoundingClientRect().left));
      return { pixel, x: x0 + ((pixel - box.left) / (box.right - box.left || 1)) * (x1 - x0) };
    }
    press(event) {
      if (event.button === 0) {
        this.from = this.place(event);
        this.plot.setPointerCapture(event.pointerId);
      }
      this.point(event);
    }
    point(event) {
      const near = this.near(event);
      if (near !== null) this.show(near, event);
      if (this.from === null) return;
      const { pixel } = this.place(event);
      if (Math.abs(pixel - this.from.pixel) < DRAG) { this.band.remove(); return; }
      this.band.setAttribute("x", Math.min(pixel, this.from.pixel));
      this.band.setAttribute("width", Math.abs(pixel - this.from.pixel));
      this.marks.before(this.band);
    }
    release(event) {
      const { from } = this;
      this.from = null;
      this.band.remove();
      if (from === null) return;
      const to = this.place(event);
      if (Math.abs(to.pixel - from.pixel) >= DRAG) this.zoom([from.x, to.x]);
    }
    key(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") { if (this.at !== null) this.leave(); else this.zoom(null); }
      if (factor) { event.preventDefault(); this.scaleBy(factor); }
      if (event.key === "0") this.zoom(null);
      const { stops } = this;
      if (!step || !stops.length) return;
      event.preventDefault();
      const first = stops.findIndex((x) => this.inside(x));
      const last = stops.findLastIndex((x) => this.inside(x));
      const index = this.at === null ? (step > 0 ? first : last) : stops.indexOf(this.at) + step;
      const x = stops[Math.max(0, Math.min(stops.length - 1, index))];
      this.follow(x);
      this.show(x);
    }
    // A step beyond the visible range moves it.
    follow(x) {
      if (this.inside(x)) return;
      const [from, to] = this.range;
      const shift = x < from ? x - from : x - to;
      this.zoom([from + shift, to + shift]);
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
      if (this.from !== null) return;
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
