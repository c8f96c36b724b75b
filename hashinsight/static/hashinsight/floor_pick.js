/* Picking miners on the floor map, for a command or for another place; and dragging them to another slot while the layout is changed. */
(() => {
  "use strict";

  const MOVED_PX = 4;
  const SPARE_SLOTS = 4;

  class Picker {
    constructor(box) {
      this.box = box;
      this.floor = box.floor;
      this.area = box.querySelector(".hi-floor-area");
      this.bar = box.querySelector(".hi-floor-bar");
      this.status = box.querySelector("[data-floor-status]");
      this.modes = Object.fromEntries([...box.querySelectorAll("[data-toggle]")].map((button) => [button.dataset.toggle, button]));
      Object.values(this.modes).forEach((button) => button.addEventListener("click", () => this.toggle(button)));
      box.addEventListener("floor:rack", (event) => this.pick(event.detail, event.detail.every((key) => this.picked.has(key)) ? "less" : "more"));
      box.querySelector("[data-clear]").addEventListener("click", () => this.pick([], "only"));
      this.area.addEventListener("pointerdown", (event) => this.begin(event));
      this.area.addEventListener("click", (event) => this.click(event), true);
      this.area.addEventListener("keydown", (event) => this.key(event));
      this.prepareDialog();
      this.show();
    }

    get picked() {
      return this.floor.picked;
    }

    isOn(mode) {
      return this.modes[mode]?.getAttribute("aria-pressed") === "true";
    }

    toggle(button) {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      if (button.dataset.toggle !== "layout") return;
      this.floor.vacantSlots = this.isOn("layout") ? SPARE_SLOTS : 0;
      this.area.classList.toggle("hi-moving", this.isOn("layout"));
      if (!this.floor.miners) return;
      this.floor.build();
      this.floor.colour();
    }

    /* --- Picking --- */

    pick(keys, how) {
      if (how === "only") this.picked.clear();
      for (const key of keys) how === "less" ? this.picked.delete(key) : this.picked.add(key);
      this.show();
      if (this.floor.miners) this.floor.colour();
    }

    flip(key) {
      this.pick([key], this.picked.has(key) ? "less" : "more");
    }

    show() {
      this.bar.hidden = this.picked.size === 0;
      this.bar.querySelector("[data-picked]").textContent = this.picked.size.toLocaleString(document.documentElement.lang);
      for (const input of this.box.querySelectorAll("input[name=miners]")) input.value = [...this.picked].join(",");
    }

    keyOf(target) {
      return this.floor.places.get(target.closest?.(".hi-cell"))?.key;
    }

    click(event) {
      const key = this.keyOf(event.target);
      const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || this.isOn("pick") || this.isOn("layout"));
      if (this.dragged) { event.preventDefault(); event.stopPropagation(); }
      else if (key && !plain) { event.preventDefault(); this.flip(key); }
      this.dragged = false;
    }

    key(event) {
      const key = this.keyOf(event.target);
      if (event.key === "Escape") this.pick([], "only");
      if (event.key !== " " || !key) return;
      event.preventDefault();
      this.flip(key);
    }

    /* --- Dragging: over the floor it picks; a miner, while the layout is changed, it moves --- */

    begin(event) {
      this.dragged = false;
      if (event.button !== 0 || event.pointerType === "touch") return;
      const cell = event.target.closest(".hi-cell");
      const way = this.isOn("layout") && this.keyOf(event.target) ? new Carry(this, cell) : new Lasso(this, event);
      const from = { x: event.clientX, y: event.clientY };
      const move = (moved) => {
        if (!this.dragged && Math.hypot(moved.clientX - from.x, moved.clientY - from.y) < MOVED_PX) return;
        if (!this.dragged) way.start();
        this.dragged = true;
        way.move(moved);
      };
      const end = (last) => {
        stop.abort();
        this.floor.busy = false;
        if (this.dragged) way.end(last);
      };
      const stop = new AbortController();
      this.floor.busy = true;
      event.preventDefault();
      event.target.closest("a, button")?.focus({ preventScroll: true });
      addEventListener("pointermove", move, { signal: stop.signal });
      addEventListener("pointerup", end, { signal: stop.signal });
      addEventListener("pointercancel", () => { stop.abort(); this.floor.busy = false; way.cancel(); }, { signal: stop.signal });
    }

    /* --- Places --- */

    prepareDialog() {
      this.dialog = this.box.querySelector("dialog");
      if (!this.dialog) return;
      this.box.querySelector("[data-place]").addEventListener("click", () => this.dialog.showModal());
      this.dialog.querySelector("[data-close]").addEventListener("click", () => this.dialog.close());
      const form = this.dialog.querySelector("form");
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const { zone, rack, slot } = Object.fromEntries(new FormData(form));
        this.dialog.close();
        this.store({ miners: [...this.picked], zone, rack, slot });
      });
    }

    async store(wanted) {
      const token = this.box.querySelector("input[name=csrfmiddlewaretoken]").value;
      const answer = await fetch(this.box.dataset.layout, { method: "POST", credentials: "same-origin", headers: { "X-CSRFToken": token, "Content-Type": "application/json" }, body: JSON.stringify(wanted) });
      const said = await answer.json().catch(() => ({ error: `HTTP ${answer.status}` }));
      this.status.textContent = said.error ?? `${this.floor.words.moved}: ${said.moved}`;
      this.status.classList.toggle("hi-loss", Boolean(said.error));
      if (said.moved) await this.floor.load();
    }
  }

  /* A rectangle drawn over the floor. */
  class Lasso {
    constructor(picker, event) {
      this.picker = picker;
      this.from = this.at(event);
      this.more = event.shiftKey || event.ctrlKey || event.metaKey;
    }

    at(event) {
      const { area } = this.picker;
      const frame = area.getBoundingClientRect();
      return { x: event.clientX - frame.left + area.scrollLeft, y: event.clientY - frame.top + area.scrollTop };
    }

    start() {
      const { area, floor } = this.picker;
      const frame = area.getBoundingClientRect();
      const [dx, dy] = [area.scrollLeft - frame.left, area.scrollTop - frame.top];
      this.before = this.more ? [...this.picker.picked] : [];
      this.cells = [...floor.cells].map(([key, link]) => ({ key, link, frame: link.getBoundingClientRect() }));
      this.cells.forEach((cell) => { cell.frame = { left: cell.frame.left + dx, right: cell.frame.right + dx, top: cell.frame.top + dy, bottom: cell.frame.bottom + dy }; });
      this.shape = document.createElement("div");
      this.shape.className = "hi-lasso";
      area.append(this.shape);
    }

    move(event) {
      const to = this.at(event);
      const [left, right] = [Math.min(this.from.x, to.x), Math.max(this.from.x, to.x)];
      const [top, bottom] = [Math.min(this.from.y, to.y), Math.max(this.from.y, to.y)];
      Object.assign(this.shape.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
      this.within = new Set(this.before);
      for (const { key, link, frame } of this.cells) {
        if (frame.left < right && frame.right > left && frame.top < bottom && frame.bottom > top) this.within.add(key);
        link.classList.toggle("hi-picked", this.within.has(key));
      }
    }

    end() {
      this.shape.remove();
      this.picker.pick(this.within ?? [], "only");
    }

    cancel() {
      this.shape?.remove();
      this.picker.pick([], "more");
    }
  }

  /* A miner carried to another slot; with others picked, all of them, side by side from that slot on. */
  class Carry {
    constructor(picker, cell) {
      this.picker = picker;
      this.cell = cell;
      this.own = picker.floor.places.get(cell);
    }

    start() {
      this.cell.classList.add("hi-carried");
    }

    move(event) {
      this.target?.classList.remove("hi-target");
      this.target = document.elementFromPoint(event.clientX, event.clientY)?.closest(".hi-floor .hi-cell, .hi-tray");
      this.target?.classList.add("hi-target");
    }

    end() {
      this.cancel();
      const { picker, own, target } = this;
      const there = target?.classList.contains("hi-tray") ? { zone: "", rack: "", slot: "" } : picker.floor.places.get(target);
      if (!there || there.key === own.key) return;
      const keys = picker.picked.has(own.key) ? [...picker.picked] : [own.key];
      if (keys.length > 1) picker.store({ miners: keys, zone: there.zone, rack: there.rack, slot: there.slot });
      else picker.store({ moves: [[own.key, there.zone, there.rack, there.slot], ...(there.key && there.slot ? [[there.key, own.zone, own.rack, own.slot]] : [])] });
    }

    cancel() {
      this.cell.classList.remove("hi-carried");
      this.target?.classList.remove("hi-target");
    }
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-floor]").forEach((box) => new Picker(box)));
})();
