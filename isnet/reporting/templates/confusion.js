// Row-normalised confusion matrix on a canvas: 150 classes are 22 500 cells. Pointer or arrow keys show a cell.
(() => {
  const holder = document.getElementById("confusion");
  if (!holder) return;
  const { classes, counts } = reportData.confusion;
  const n = classes.length;
  const cells = counts.flatMap((row, t) => row.flatMap((count, p) => (count ? [[t, p]] : [])));
  const totals = counts.map((row) => row.reduce((a, b) => a + b, 0));
  const canvas = holder.querySelector("canvas");
  const readout = document.getElementById("confusion-readout");
  const intro = readout.textContent;
  const labelled = n <= 40;
  let cell = 12;
  let left = 0;
  let top = 0;
  let slant = 0;
  let cursor = null;

  const share = (t, p) => (totals[t] ? counts[t][p] / totals[t] : 0);
  const fit = (context, text, width) => {
    if (context.measureText(text).width <= width) return text;
    let cut = text;
    while (cut && context.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
    return `${cut}…`;
  };

  const context = canvas.getContext("2d");
  function measure() {
    const narrow = holder.clientWidth < 480;
    const font = `${narrow ? 10.5 : 12}px ${getComputedStyle(document.body).fontFamily}`;
    context.font = font;
    const widest = labelled ? Math.max(...classes.map((name) => context.measureText(name).width)) : 0;
    const room = labelled ? Math.min(widest, narrow ? 76 : 130) : 0;
    left = labelled ? room + 10 : 2;
    // Narrow columns have upright names: slanted ones would cover each other.
    slant = narrow ? Math.PI / 2 : Math.PI / 3;
    top = labelled ? room * Math.sin(slant) + 14 : 2;
    const side = labelled ? room * Math.cos(slant) + 4 : 2;
    cell = Math.max(labelled ? 11 : 4, Math.min(38, Math.floor((holder.clientWidth - left - side) / n)));
    const [width, height] = [left + cell * n + side, top + cell * n + 2];
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.scale(ratio, ratio);
    return { font, room };
  }
  function draw() { paint(context, measure()); }
  canvas.toSvg = () => {
    const recorder = new saved.Recorder(context);
    paint(recorder, measure());
    draw();
    return recorder.nodes;
  };

  function paint(context, { font, room }) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    context.font = font;
    context.fillStyle = colour("--surface");
    context.fillRect(left, top, cell * n, cell * n);
    const gap = cell > 9 ? 1 : 0;
    for (const [t, p] of cells) {
      // Square root: 1 % must be visible beside a diagonal of 95 %.
      context.globalAlpha = Math.sqrt(share(t, p));
      context.fillStyle = colour("--heat");
      context.fillRect(left + p * cell, top + t * cell, cell - gap, cell - gap);
      if (cell >= 28 && share(t, p) >= 0.005) {
        context.globalAlpha = 1;
        context.fillStyle = Math.sqrt(share(t, p)) > 0.55 ? colour("--heat-text") : colour("--text");
        context.textAlign = "center";
        context.fillText(Math.round(share(t, p) * 100), left + p * cell + cell / 2, top + t * cell + cell / 2 + 4);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = colour("--line");
    context.strokeRect(left - 0.5, top - 0.5, cell * n + 1, cell * n + 1);
    if (labelled) labels(context, room, colour("--muted"));
    if (cursor) {
      context.strokeStyle = colour("--mark");
      context.lineWidth = 2;
      context.strokeRect(left + cursor.p * cell - 1, top + cursor.t * cell - 1, cell + 1, cell + 1);
    }
  }

  function labels(context, room, colour) {
    context.fillStyle = colour;
    classes.forEach((name, i) => {
      context.textAlign = "right";
      context.fillText(fit(context, name, room), left - 7, top + i * cell + cell / 2 + 4);
      context.save();
      context.translate(left + i * cell + cell / 2 + 3, top - 6);
      context.rotate(-slant);
      context.textAlign = "left";
      context.fillText(fit(context, name, room), 0, 0);
      context.restore();
    });
  }

  function read(t, p) {
    cursor = { t, p };
    const many = counts[t][p].toLocaleString("en").replaceAll(",", "\u202f");
    const part = (share(t, p) * 100).toFixed(share(t, p) < 0.01 ? 3 : 1);
    readout.textContent = `Label ${classes[t]}, predicted ${classes[p]}: ${part} % of ${classes[t]}, ${many} pixels`;
    draw();
  }

  const leave = () => { cursor = null; readout.textContent = intro; tip.hide(); draw(); };
  canvas.addEventListener("pointermove", (event) => {
    const frame = canvas.getBoundingClientRect();
    const p = Math.floor((event.clientX - frame.left - left) / cell);
    const t = Math.floor((event.clientY - frame.top - top) / cell);
    if (t < 0 || p < 0 || t >= n || p >= n) { leave(); return; }
    if (!(cursor && cursor.t === t && cursor.p === p)) read(t, p);
    // The line of text below a tall matrix may be off screen.
    tip.text(readout.textContent, event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const clamp = (v) => Math.max(0, Math.min(n - 1, v));
    if (cursor) read(clamp(cursor.t + move[0]), clamp(cursor.p + move[1]));
    else read(0, 0);
  });
  document.addEventListener("themechange", draw);
  new ResizeObserver(draw).observe(holder);
})();
