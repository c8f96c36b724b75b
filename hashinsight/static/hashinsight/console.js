/* Keeps open pages fresh and draws their charts. No dependency but uPlot; nothing inline, so a strict CSP holds for it. */
(() => {
  "use strict";

  /* --- Live parts: [data-refresh] names an address whose [data-part] elements replace those of the same id, in place. --- */

  function morph(shown, fresh) {
    if (shown.isEqualNode(fresh)) return;
    const sameShape = shown.nodeName === fresh.nodeName && shown.childNodes.length === fresh.childNodes.length;
    if (!sameShape || shown.nodeType !== Node.ELEMENT_NODE) {
      if (shown.nodeType === Node.TEXT_NODE && fresh.nodeType === Node.TEXT_NODE) shown.data = fresh.data;
      else shown.replaceWith(document.importNode(fresh, true));
      return;
    }
    for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
    [...shown.childNodes].forEach((child, index) => morph(child, fresh.childNodes[index]));
  }

  async function refresh(box) {
    if (document.hidden) return;
    const answer = await fetch(box.dataset.refresh, { credentials: "same-origin" });
    if (answer.redirected) location.reload(); // the session ended: the login page comes
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of [...fresh.querySelectorAll("[data-part]")]) {
      const shown = document.getElementById(part.id);
      if (shown) morph(shown, part);
    }
    box.dispatchEvent(new CustomEvent("console:refreshed", { bubbles: true }));
  }

  function quietly(action) {
    // A server that restarts is normal; the page keeps its last values and tries again.
    return () => action().catch((error) => { if (!(error instanceof TypeError)) throw error; });
  }

  /* --- Charts --- */

  const AXIS_TIMES = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  ];
  const LINES = ["--color-primary-500", "--hi-stale", "--hi-offline", "--hi-sleeping", "--hi-online"];

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function lineOptions(line, index, unit) {
    const stroke = css(line.expected ? "--hi-muted" : LINES[index % LINES.length]);
    return {
      label: line.label,
      stroke,
      width: line.expected ? 1.25 : 1.75,
      dash: line.expected ? [6, 5] : undefined,
      points: { show: line.expected ? false : undefined, size: 4 },
      value: (plot, value) => (value === null || value === undefined ? "–" : `${value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 2 })} ${unit}`),
    };
  }

  function options(data, chart, width) {
    const axis = { stroke: css("--hi-muted"), grid: { stroke: css("--hi-line"), width: 1 }, ticks: { stroke: css("--hi-line"), width: 1 }, font: "12px Inter, sans-serif" };
    return {
      width,
      height: width < 500 ? 200 : 260,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.timezone),
      hooks: { drawClear: [shadeMissing(data)] },
      cursor: { y: false, points: { size: 6 } },
      scales: {
        x: { range: () => [data.start, data.end] },
        y: { range: (plot, low, high) => (low === null ? [0, 1] : [chart.from_zero ? 0 : Math.floor(low - 2), Math.max(high * 1.06, low + 1)]) },
      },
      series: [{ label: data.time_label, value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...chart.lines.map((line, index) => lineOptions(line, index, chart.unit))],
      axes: [{ ...axis, values: AXIS_TIMES, space: 64 }, { ...axis, size: 64, label: chart.unit, labelSize: 18, labelFont: "12px Inter, sans-serif" }],
    };
  }

  // Time in which readings are missing is shaded by how many: no data looks like neither zero nor off.
  function shadeMissing(data) {
    return (plot) => {
      const { left, top, width, height } = plot.bbox;
      const step = data.timestamps.length > 1 ? data.timestamps[1] - data.timestamps[0] : 60;
      plot.ctx.save();
      plot.ctx.fillStyle = css("--hi-stale");
      data.timestamps.forEach((moment, index) => {
        const missing = 1 - data.coverage[index];
        const from = Math.max(left, plot.valToPos(moment, "x", true));
        const to = Math.min(left + width, plot.valToPos(Math.min(moment + step, data.end), "x", true));
        if (missing < 0.1 || to <= from) return;
        plot.ctx.globalAlpha = 0.16 * Math.min(1, missing);
        plot.ctx.fillRect(from, top, to - from, height);
      });
      plot.ctx.restore();
    };
  }

  class Chart {
    constructor(box) {
      this.box = box;
      this.area = box.querySelector(".hi-plot");
      this.hours = Number(box.querySelector("[data-hours][aria-pressed=true]")?.dataset.hours ?? 24);
      box.querySelectorAll("[data-hours]").forEach((button) => button.addEventListener("click", () => this.choose(button)));
      new ResizeObserver(() => this.plot?.setSize({ width: this.area.clientWidth, height: this.plot.height })).observe(this.area);
      this.load = quietly(() => this.fetch());
      this.load();
    }

    choose(button) {
      this.box.querySelectorAll("[data-hours]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      this.hours = Number(button.dataset.hours);
      this.load();
    }

    async fetch() {
      if (document.hidden) return;
      const answer = await fetch(`${this.box.dataset.series}?hours=${this.hours}`, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      this.data = await answer.json();
      this.draw();
    }

    draw() {
      if (!this.data) return;
      const chart = this.data.charts[this.box.dataset.chart];
      const empty = !chart || !chart.lines.some((line) => !line.expected && line.values.some((value) => value !== null));
      this.box.querySelector(".hi-empty").hidden = !empty;
      this.box.querySelector("[data-coverage]").textContent = empty ? "" : this.data.coverage_text;
      this.area.hidden = empty;
      this.plot?.destroy();
      this.plot = undefined;
      if (empty) return;
      const columns = [this.data.timestamps, ...chart.lines.map((line) => line.values)];
      this.plot = new uPlot(options(this.data, chart, this.area.clientWidth), columns, this.area);
      this.box.dataset.drawn = String(this.data.end);
    }
  }

  /* --- Copying the key that is shown once: without TLS a browser has no clipboard, then the text is selected to copy by hand. --- */

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    getSelection().selectAllChildren(source);
    if (navigator.clipboard) await navigator.clipboard.writeText(source.textContent);
  }

  /* --- An order shows the parameters of the command that is chosen. --- */

  function showParameters(form) {
    const chosen = form.querySelector("select[name=command]").value;
    for (const input of form.querySelectorAll("[data-for]")) input.closest(".hi-field").hidden = input.dataset.for !== chosen;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const form of document.querySelectorAll("[data-order]")) {
      showParameters(form);
      form.addEventListener("change", () => showParameters(form));
    }
    for (const box of document.querySelectorAll("[data-refresh]")) setInterval(quietly(() => refresh(box)), Number(box.dataset.every) * 1000);
    const charts = [...document.querySelectorAll(".hi-chart")].map((box) => new Chart(box));
    setInterval(() => charts.forEach((chart) => chart.load()), 60_000);
    new MutationObserver(() => charts.forEach((chart) => chart.draw())).observe(document.documentElement, { attributeFilter: ["class"] });
    document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () => copy(button)));
  });
})();
