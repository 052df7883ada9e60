// Speed against accuracy: one named point per run.
(() => {
  const { svg, FORMS, AXES, niceTicks, logTicks, ruled } = axes;
  const FILLS = ["", "hollow", "square", "square hollow"];
  // Largest distance between pointer and point, in pixels.
  const REACH = 40;

  class Scatter {
    constructor(figure, spec) {
      this.spec = spec;
      this.points = [...spec.points].sort((a, b) => a.x - b.x);
      this.at = null;
      this.plot = figure.querySelector(".plot");
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", () => this.leave());
      this.plot.addEventListener("blur", () => this.leave());
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    scales(width, height) {
      const [xs, ys] = [this.points.map((p) => p.x), this.points.map((p) => p.y)];
      const y = niceTicks(...this.widened(ys, 0.01), Math.max(2, Math.floor(height / 52)));
      // Keep points off the axis.
      const bottom = Math.max(0, Math.floor(Math.min(...ys) / y.step - 0.15) * y.step);
      const top = Math.ceil(Math.max(...ys) / y.step) * y.step;
      const level = this.spec.log ? Math.log : (v) => v;
      const [x0, x1] = this.spec.log ? [Math.min(...xs) / 1.3, Math.max(...xs) * 1.3] : [0, Math.max(...xs) * 1.08];
      const yTicks = niceTicks(bottom, top === bottom ? top + y.step : top, Math.max(1, Math.round((top - bottom) / y.step))).ticks;
      const left = 14 + 7.2 * Math.max(2, ...yTicks.map((v) => AXES.percent(v).length));
      const box = { left, right: width - 12, top: 14, bottom: height - 38 };
      const [y0, y1] = [yTicks[0], yTicks.at(-1)];
      return {
        box, yTicks,
        xTicks: this.spec.log ? logTicks(x0, x1) : niceTicks(x0, x1, Math.max(2, Math.floor(width / 95))).ticks,
        x: (v) => box.left + ((level(v) - level(x0)) / (level(x1) - level(x0))) * (box.right - box.left),
        y: (v) => box.bottom - ((v - y0) / (y1 - y0 || 1)) * (box.bottom - box.top),
      };
    }
    widened(values, least) {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return [low, Math.max(high, low + least)];
    }

    draw() {
      const { clientWidth: width, clientHeight: height } = this.plot;
      if (!width) return;
      const scale = (this.scale = this.scales(width, height));
      const { box } = scale;
      const root = ruled(width, height, box, scale.yTicks, scale.y, AXES.percent);
      for (const value of scale.xTicks) {
        root.append(svg("text", { x: scale.x(value), y: box.bottom + 17, "text-anchor": "middle" }, AXES.rate(value)));
      }
      root.append(svg("text", { x: box.right, y: box.bottom + 34, "text-anchor": "end" }, "images/s"));
      this.ring = svg("circle", { class: "ring", r: 10, visibility: "hidden" });
      root.append(this.ring);
      for (const point of this.points) root.append(this.mark(point, scale));
      this.plot.replaceChildren(root);
      this.label(root, box);
      if (this.at !== null) this.show(this.at);
    }
    mark(point, scale) {
      const [x, y] = [scale.x(point.x), scale.y(point.y)];
      const fill = FILLS[Math.floor(point.style / 8) % 4];
      const group = svg("g", { class: `mark s-${point.style % 8} ${fill}`, "data-name": point.name });
      group.append(fill.startsWith("square")
        ? svg("rect", { x: x - 5, y: y - 5, width: 10, height: 10 })
        : svg("circle", { cx: x, cy: y, r: 5.5 }));
      return group;
    }
    // Write a name beside its point where there is room; the tooltip shows the others.
    label(root, box) {
      const taken = this.points.map((p) => ({ x: this.scale.x(p.x) - 7, y: this.scale.y(p.y) - 7, width: 14, height: 14 }));
      const meets = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
      for (const point of this.points) {
        const [x, y] = [this.scale.x(point.x), this.scale.y(point.y)];
        const text = svg("text", { class: "name" }, point.name);
        root.append(text);
        const fits = [[x + 11, y + 4, "start"], [x - 11, y + 4, "end"], [x, y - 12, "middle"], [x, y + 21, "middle"]].some(([tx, ty, anchor]) => {
          for (const [key, value] of Object.entries({ x: tx, y: ty, "text-anchor": anchor })) text.setAttribute(key, value);
          const frame = text.getBBox();
          return frame.x >= box.left && frame.x + frame.width <= box.right + 8 && frame.y >= 0 && frame.y + frame.height <= box.bottom && !taken.some((other) => meets(frame, other));
        });
        if (fits) taken.push(text.getBBox());
        else text.remove();
      }
    }

    point(event) {
      const frame = this.plot.getBoundingClientRect();
      const away = (p) => Math.hypot(this.scale.x(p.x) + frame.left - event.clientX, this.scale.y(p.y) + frame.top - event.clientY);
      const near = this.points.reduce((best, p, i) => (away(p) < away(this.points[best]) ? i : best), 0);
      if (away(this.points[near]) > REACH) this.leave();
      else this.show(near);
    }
    key(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") this.leave();
      if (!step) return;
      event.preventDefault();
      const last = this.points.length - 1;
      this.show(this.at === null ? (step > 0 ? 0 : last) : Math.max(0, Math.min(last, this.at + step)));
    }
    show(index) {
      this.at = index;
      const point = this.points[index];
      const [x, y] = [this.scale.x(point.x), this.scale.y(point.y)];
      for (const [key, value] of Object.entries({ cx: x, cy: y, visibility: "visible" })) this.ring.setAttribute(key, value);
      const frame = this.plot.getBoundingClientRect();
      tip.rows(point.name, [
        { name: "mIoU", value: `${(point.y * 100).toFixed(2)} %`, style: point.style },
        { name: "speed", value: `${FORMS.rate(point.x)} images/s`, style: point.style },
      ], frame.left + x, frame.top + y);
    }
    leave() {
      this.at = null;
      this.ring?.setAttribute("visibility", "hidden");
      tip.hide();
    }
  }
  const specs = new Map((reportData.scatters ?? []).map((spec) => [spec.key, spec]));
  for (const figure of document.querySelectorAll("[data-scatter]")) new Scatter(figure, specs.get(figure.dataset.scatter));
})();
