/* The floor map: a link for each miner, in its rack, coloured by one of four measures. Drawn once, then recoloured.
   What is picked and moved on it is floor_pick.js's; it finds the map as `floor` at its box. */
(() => {
  "use strict";

  const [PK, NAME, SLOT, STATE, PERCENT, TEMPERATURE, HEALTHY, BOARDS, TERAHASHES] = Array(9).keys();
  const STATES = ["online", "sleeping", "stale", "offline", "never"];
  const PERCENTS = [97, 90, 75, 50, 0];
  const DEGREES = [90, 85, 80, 70, 60, -273];

  class Floor {
    constructor(box) {
      this.box = box;
      this.mode = "state";
      this.cells = new Map(); // primary key to link
      this.places = new Map(); // cell, taken or vacant, to { key, zone, rack, slot }
      this.picked = new Set();
      this.vacantSlots = 0; // beyond the last one that is taken, while the layout is being changed
      this.words = Object.fromEntries([...box.querySelectorAll("[data-word]")].map((term) => [term.dataset.word, term.textContent]));
      box.querySelectorAll("[data-mode]").forEach((button) => button.addEventListener("click", () => this.choose(button)));
      this.modes = { state: this.byState, percent: this.byPercent, temperature: this.byTemperature, boards: this.byBoards };
    }

    async load() {
      if (document.hidden || this.busy) return;
      const answer = await fetch(this.box.dataset.floor, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected || this.busy) return;
      const started = performance.now();
      Object.assign(this, await answer.json());
      const cells = this.zones.flatMap((zone) => zone.racks.flatMap((rack) => rack.cells));
      this.miners = [...cells, ...this.tray];
      const layout = JSON.stringify([this.zones.map((zone) => [zone.name, zone.racks.map((rack) => [rack.name, rack.cells.map((cell) => [cell[PK], cell[SLOT]])])]), this.tray.map((cell) => cell[PK])]);
      if (layout !== this.layout) this.build();
      this.layout = layout;
      this.colour();
      requestAnimationFrame(() => setTimeout(() => { this.box.dataset.drawnMs = String(Math.round(performance.now() - started)); }));
    }

    build() {
      this.cells.clear();
      this.places.clear();
      const zones = this.zones.map((zone) => element("section", "hi-zone", element("h3", "", zone.name), element("div", "hi-racks", ...zone.racks.map((rack) => this.rack(zone.name, rack)))));
      this.box.querySelector(".hi-floor-zones").replaceChildren(...zones);
      const tray = this.box.querySelector(".hi-tray");
      tray.hidden = this.tray.length === 0 && this.vacantSlots === 0;
      tray.querySelector(".hi-slots").replaceChildren(...this.tray.map((cell) => this.cell(cell, { zone: "", rack: "", slot: "" })));
    }

    rack(zone, rack) {
      const slots = element("div", "hi-slots");
      const at = (slot) => ({ zone, rack: rack.name, slot });
      const numbers = rack.cells.map((cell) => Number(cell[SLOT]));
      // Slots that are numbers keep their places, so that an empty one is seen; others stand one after the other.
      const numbered = numbers.every((number) => Number.isInteger(number) && number > 0) && new Set(numbers).size === numbers.length;
      const rows = numbered ? Math.max(...numbers) + this.vacantSlots : rack.cells.length;
      const inOrder = numbered && rows <= 4 * rack.cells.length + 24;
      slots.style.setProperty("--rows", Math.ceil(rows / Math.ceil(rows / 24)));
      if (inOrder) {
        const taken = new Map(rack.cells.map((cell, index) => [numbers[index], cell]));
        const slot = (number) => (taken.has(number) ? this.cell(taken.get(number), at(taken.get(number)[SLOT])) : this.vacant(at(String(number))));
        slots.append(...Array.from({ length: rows }, (_, index) => slot(index + 1)));
      } else {
        slots.append(...rack.cells.map((cell) => this.cell(cell, at(cell[SLOT]))));
      }
      const name = element("button", "", rack.name);
      name.type = "button";
      name.title = `${rack.name}: ${this.words.pick_rack}`;
      name.addEventListener("click", () => this.box.dispatchEvent(new CustomEvent("floor:rack", { detail: rack.cells.map((cell) => cell[PK]) })));
      return element("div", "hi-rack", element("h4", "", name), slots);
    }

    cell(cell, place) {
      const link = element("a", "hi-cell");
      link.href = this.box.dataset.miner.replace("/0/", `/${cell[PK]}/`);
      link.draggable = false;
      this.cells.set(cell[PK], link);
      this.places.set(link, { key: cell[PK], ...place });
      return link;
    }

    vacant(place) {
      const gap = element("span", "hi-cell hi-vacant");
      this.places.set(gap, place);
      return gap;
    }

    choose(button) {
      this.box.querySelectorAll("[data-mode]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      this.mode = button.dataset.mode;
      this.only = undefined;
      this.colour();
    }

    colour() {
      const measure = this.modes[this.mode];
      const counts = new Map();
      for (const cell of this.miners) {
        const [key, className, words] = measure.call(this, cell);
        const link = this.cells.get(cell[PK]);
        const picked = this.picked.has(cell[PK]);
        link.className = `hi-cell ${className}${this.only !== undefined && this.only !== key ? " hi-dim" : ""}${picked ? " hi-picked" : ""}`;
        link.title = this.describe(cell) + (picked ? ` · ${this.words.picked}` : "");
        link.setAttribute("aria-label", link.title);
        counts.set(key, { className, words, count: (counts.get(key)?.count ?? 0) + 1 });
      }
      this.legend(counts);
    }

    legend(counts) {
      const entries = [...counts].sort(([one], [other]) => one - other).map(([key, { className, words, count }]) => {
        const button = element("button", "", element("span", `hi-cell ${className}`), `${words}: ${count.toLocaleString(document.documentElement.lang)}`);
        button.type = "button";
        button.setAttribute("aria-pressed", String(this.only === key));
        button.addEventListener("click", () => { this.only = this.only === key ? undefined : key; this.colour(); });
        return button;
      });
      this.box.querySelector(".hi-floor-legend").replaceChildren(...entries);
    }

    describe(cell) {
      const parts = [cell[NAME], this.states[cell[STATE]]];
      if (cell[TERAHASHES] !== null) parts.push(`${cell[TERAHASHES]} TH/s`);
      if (cell[PERCENT] !== null) parts.push(`${cell[PERCENT]} % ${this.words.of_expected}`);
      if (cell[TEMPERATURE] !== null) parts.push(`${cell[TEMPERATURE]} °C`);
      if (cell[BOARDS]) parts.push(`${cell[HEALTHY] ?? "?"} / ${cell[BOARDS]}`);
      return parts.join(" · ");
    }

    /* Each measure gives [order in the legend, class, words]. */

    byState(cell) {
      return [STATES.indexOf(cell[STATE]), `hi-${cell[STATE]}`, this.states[cell[STATE]]];
    }

    byPercent(cell) {
      if (cell[PERCENT] === null) return this.nothing();
      const level = PERCENTS.findIndex((limit) => cell[PERCENT] >= limit);
      const words = level < 4 ? `${PERCENTS[level]} % ${this.words.and_over}` : `${this.words.under} ${PERCENTS[3]} %`;
      return [level, `hi-level-${level}`, words];
    }

    byTemperature(cell) {
      if (cell[TEMPERATURE] === null) return this.nothing();
      const level = DEGREES.findIndex((limit) => cell[TEMPERATURE] >= limit);
      const words = level < 5 ? `${DEGREES[level]} °C ${this.words.and_over}` : `${this.words.under} ${DEGREES[4]} °C`;
      return [level, `hi-heat-${level}`, words];
    }

    byBoards(cell) {
      if (!cell[BOARDS] || cell[HEALTHY] === null || cell[TERAHASHES] === null) return this.nothing();
      const out = Math.min(2, cell[BOARDS] - cell[HEALTHY]);
      return out <= 0 ? [0, "hi-level-0", this.words.all_boards] : out === 1 ? [1, "hi-level-3", this.words.one_board] : [2, "hi-level-4", this.words.more_boards];
    }

    nothing() {
      return [9, "hi-unmeasured", this.words.nothing];
    }
  }

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("[data-floor]")) {
      const floor = new Floor(box);
      box.floor = floor;
      const load = () => floor.load().catch((error) => { if (!(error instanceof TypeError)) throw error; });
      load();
      setInterval(load, 30_000);
    }
  });
})();
