/* Charts by uPlot: those of a [data-series] box share one answer of the server, one span of time, one crosshair and one zoom. */
(() => {
  "use strict";

  const AXIS_TIMES = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  ];
  const LINES = ["--color-primary-500", "--hi-stale", "--hi-offline", "--hi-sleeping", "--hi-online"];
  const LEGEND_TIME = uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm}");
  const LEAST_ZOOM_PX = 8;
  const LEAST_ZOOM_S = 300;
  const REFRESH_MS = 60_000;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function lineOptions(line, index, unit) {
    const stroke = css(line.expected ? "--hi-muted" : LINES[index % LINES.length]);
    return {
      label: line.label,
      stroke,
      width: line.expected ? 1.25 : 1.75,
      dash: line.expected ? [6, 5] : undefined,
      points: line.expected ? { show: false } : { size: 4 }, // shown where they stand apart
      value: (plot, value) => (value === null || value === undefined ? "–" : `${value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 2 })} ${unit}`),
    };
  }

  function options(group, data, chart, width) {
    const axis = { stroke: css("--hi-muted"), grid: { stroke: css("--hi-line"), width: 1 }, ticks: { stroke: css("--hi-line"), width: 1 }, font: "12px Inter, sans-serif" };
    return {
      width,
      height: width < 500 ? 200 : 260,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.timezone),
      hooks: { drawClear: [shadeMissing(data)], setSelect: [(plot) => group.zoomTo(plot)] },
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
        sync: { key: group.key, setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        bind: { dblclick: () => () => group.reset() },
      },
      scales: {
        x: { range: () => [data.start, data.end] },
        y: { range: (plot, low, high) => (low === null ? [0, 1] : [chart.from_zero ? 0 : Math.floor(low - 2), Math.max(high * 1.06, low + 1)]) },
      },
      series: [{ label: data.time_label, value: (plot, seconds) => (seconds === null ? "–" : LEGEND_TIME(uPlot.tzDate(new Date(seconds * 1000), data.timezone))) }, ...chart.lines.map((line, index) => lineOptions(line, index, chart.unit))],
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
        const missing = data.coverage[index] === null ? 0 : 1 - data.coverage[index]; // null: nothing was owed yet
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
    constructor(group, box) {
      this.group = group;
      this.box = box;
      this.area = box.querySelector(".hi-plot");
      new ResizeObserver(() => this.plot?.setSize({ width: this.area.clientWidth, height: this.plot.height })).observe(this.area);
    }

    draw(data) {
      const chart = data.charts[this.box.dataset.chart];
      const empty = !chart || !chart.lines.some((line) => !line.expected && line.values.some((value) => value !== null));
      this.box.querySelector(".hi-empty").hidden = !empty;
      this.area.hidden = empty;
      this.plot?.destroy();
      this.plot = undefined;
      if (empty) return;
      const columns = [data.timestamps, ...chart.lines.map((line) => line.values)];
      this.plot = new uPlot(options(this.group, data, chart, this.area.clientWidth), columns, this.area);
      this.box.dataset.drawn = String(data.end);
    }
  }

  class Group {
    constructor(box, number) {
      this.box = box;
      this.key = `charts-${number}`;
      this.charts = [...box.querySelectorAll(".hi-chart")].map((chart) => new Chart(this, chart));
      this.buttons = [...box.querySelectorAll("[data-hours]")];
      this.hours = Number(this.buttons.find((button) => button.ariaPressed === "true")?.dataset.hours ?? 24);
      this.buttons.forEach((button) => button.addEventListener("click", () => this.choose(button)));
      this.unzoom = box.querySelector("[data-unzoom]");
      this.unzoom.addEventListener("click", () => this.reset());
      this.load();
    }

    choose(button) {
      this.hours = Number(button.dataset.hours);
      this.reset();
    }

    reset() {
      this.zoom = undefined;
      this.load();
    }

    zoomTo(plot) {
      const { left, width } = plot.select;
      if (width <= 0) return;
      plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      const [start, end] = [left, left + width].map((position) => Math.round(plot.posToVal(position, "x")));
      if (width < LEAST_ZOOM_PX || end - start < LEAST_ZOOM_S) return;
      this.zoom = { start, end };
      this.load();
    }

    get address() {
      const span = this.zoom ?? { hours: this.hours };
      return `${this.box.dataset.series}?${new URLSearchParams(span)}`;
    }

    async load() {
      this.mark();
      const wanted = this.address;
      const answer = await fetch(wanted, { credentials: "same-origin" }).catch(() => undefined);
      // A server that restarts is normal; the charts keep what they show. And only the last of two quick clicks counts.
      if (!answer?.ok || answer.redirected || wanted !== this.address) return;
      this.data = await answer.json();
      this.draw();
    }

    refresh() {
      if (!document.hidden && !this.zoom) this.load();
    }

    mark() {
      this.buttons.forEach((button) => button.setAttribute("aria-pressed", String(!this.zoom && Number(button.dataset.hours) === this.hours)));
      this.unzoom.hidden = !this.zoom;
      this.box.querySelector("[data-csv]").href = `${this.address}&format=csv`;
    }

    draw() {
      if (!this.data) return;
      this.box.querySelector("[data-coverage]").textContent = this.data.coverage_text;
      this.charts.forEach((chart) => chart.draw(this.data));
      this.box.dataset.span = `${this.data.start}-${this.data.end}`;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const groups = [...document.querySelectorAll("[data-series]")].map((box, number) => new Group(box, number));
    setInterval(() => groups.forEach((group) => group.refresh()), REFRESH_MS);
    new MutationObserver(() => groups.forEach((group) => group.draw())).observe(document.documentElement, { attributeFilter: ["class"] });
  });
})();
