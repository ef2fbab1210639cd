// The page asks for the state every two seconds, and for a game's pictures as a stream of events.
"use strict";
(() => {
  const SECONDS = 2, MOST = 8, COLOURS = 7;
  const get = (id) => document.getElementById(id);
  let runs = [], chosen = null, events = null, played = null, asking = false;

  // What is chosen stands behind the # of the address, so a reload or a bookmark keeps it.
  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    if (words.has("run")) chosen = words.getAll("run").slice(0, MOST);
    if (words.has("axis")) get("axis").value = words.get("axis");
    if (!get("axis").value) get("axis").value = "time";
    played = words.get("game");
  }

  function writeAddress() {
    const words = new URLSearchParams();
    for (const name of chosen || []) words.append("run", name);
    words.set("axis", get("axis").value);
    if (played) words.set("game", played);
    history.replaceState(null, "", "#" + words);
  }

  function choose() {
    const newest = [...runs].sort((a, b) => b.changed - a.changed);
    const training = newest.filter((run) => run.training);
    chosen = (training.length ? training : newest.slice(0, 1)).slice(0, MOST).map((r) => r.name);
  }

  async function update() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const asked = new URLSearchParams({ axis: get("axis").value });
      for (const name of chosen || []) asked.append("run", name);
      const answer = await fetch("/state?" + asked);
      if (!answer.ok) throw new Error(await answer.text());
      const state = await answer.json();
      runs = state.runs;
      trouble("");
      const first = chosen === null && runs.length;
      if (first) choose();
      const gone = forget();
      show(state);
      if (first || gone) setTimeout(update, 0);
    } catch (error) {
      trouble("The board does not answer: " + error.message);
    } finally {
      asking = false;
    }
  }

  // Runs that are gone leave their colour to others. If none is left, the newest are chosen again.
  function forget() {
    const known = new Set(runs.map((run) => run.name));
    const left = (chosen || []).filter((name) => known.has(name));
    if (!runs.length || left.length === (chosen || []).length) return false;
    chosen = left.length ? left : null;
    writeAddress();
    return true;
  }

  function trouble(text) {
    get("trouble").textContent = text;
    get("trouble").hidden = !text;
  }

  function show(state) {
    get("none").textContent = "There are no runs yet. They appear here by themselves.";
    get("none").hidden = runs.length > 0;
    showList();
    showPlayed();
    for (const name of ["returns", "throughput"]) {
      const place = get(name);
      if (place.shown !== state.charts[name]) {
        place.shown = state.charts[name];
        place.innerHTML = state.charts[name];  // made by the board, names escaped
      }
    }
  }

  function element(name, style, text) {
    const made = document.createElement(name);
    made.className = style;
    made.textContent = text;
    return made;
  }

  function showList() {
    const list = get("list"), old = new Map([...list.children].map((item) => [item.run, item]));
    const order = [...runs].sort((a, b) => b.training - a.training || b.changed - a.changed);
    const items = order.map((run) => fill(old.get(run.name) || item(run.name), run));
    if (items.length !== list.children.length || items.some((made, n) => made !== list.children[n])) {
      list.replaceChildren(...items);
    }
  }

  function item(name) {
    const made = document.createElement("li"), label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => toggle(name, box));
    const more = element("span", "more", "");
    more.append(element("span", "state", ""), element("span", "facts", ""));
    label.append(box, element("span", "name", name), element("span", "mean", ""), more);
    made.append(label);
    made.run = name;
    return made;
  }

  function fill(made, run) {
    const place = (chosen || []).indexOf(run.name);
    const box = made.querySelector("input");
    box.checked = place >= 0;
    box.className = place >= 0 ? "c" + (place % COLOURS) : "";
    box.disabled = place < 0 && (chosen || []).length >= MOST;
    box.title = box.disabled ? "Up to " + MOST + " runs compare." : "";
    made.querySelector(".mean").textContent = run.mean || "";
    made.classList.toggle("training", run.training);
    made.querySelector(".state").textContent = run.training ? "training" : "ended " + ago(run.changed);
    const parts = ["", run.about];
    if (run.episodes) parts.push(run.episodes + (run.episodes === "1" ? " episode" : " episodes"), run.won + " won", run.steps + " steps", run.time, run.rate);
    made.querySelector(".facts").textContent = parts.join(" · ");
    return made;
  }

  function ago(changed) {
    const seconds = Math.max(0, Date.now() / 1000 - changed);
    if (seconds < 120) return Math.round(seconds) + " s ago";
    if (seconds < 7200) return Math.round(seconds / 60) + " min ago";
    if (seconds < 172800) return Math.round(seconds / 3600) + " h ago";
    return Math.round(seconds / 86400) + " days ago";
  }

  function toggle(name, box) {
    const known = new Set(runs.map((run) => run.name));
    chosen = (chosen || []).filter((other) => other !== name && known.has(other));
    if (box.checked) chosen.push(name);
    writeAddress();
    update();
  }

  function showPlayed() {
    const select = get("played"), names = runs.filter((r) => r.checkpoint !== null).map((r) => r.name);
    const waiting = (chosen || []).filter((name) => !names.includes(name));
    const all = [...names, ...waiting];
    if (select.names !== all.join("\n")) {
      select.names = all.join("\n");
      select.replaceChildren(...all.map((name) => new Option(name, name)));
    }
    if (!all.includes(played)) played = (chosen || []).find((name) => all.includes(name)) || all[0] || null;
    if (played !== null) select.value = played;
    watch();
  }

  function watch() {
    if (events && events.run === played && events.readyState !== EventSource.CLOSED) return;
    unwatch();
    if (played === null || document.hidden) return;
    events = new EventSource("/game?" + new URLSearchParams({ run: played }));
    events.run = played;
    events.addEventListener("message", (event) => draw(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      if (events && events.readyState === EventSource.CLOSED) {
        draw({ note: "No game now. Up to four runs play at once." });
      }
    });
  }

  function unwatch() {
    if (events) events.close();
    events = null;
  }

  function draw(moment) {
    if (moment.note) {
      get("trained").textContent = moment.note;
      return;
    }
    get("screen").src = "data:image/png;base64," + moment.png;
    get("screen").hidden = false;
    get("score").textContent = "computer " + moment.score[0] + " : " + moment.score[1] + " " + moment.agent;
    get("odds").hidden = moment.up === null;
    if (moment.up !== null) {
      get("up").value = moment.up;
      get("share").textContent = Math.round(100 * moment.up) + " %";
    }
    const clock = Math.floor(moment.second / 60) + ":" + String(moment.second % 60).padStart(2, "0");
    get("trained").textContent = moment.agent + " " + moment.trained + ", game " + moment.game + ", " + clock;
  }

  get("axis").addEventListener("change", () => { writeAddress(); update(); });
  get("played").addEventListener("change", () => {
    played = get("played").value;
    writeAddress();
    watch();
  });
  addEventListener("hashchange", () => { readAddress(); update(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) unwatch(); else { update(); watch(); }
  });
  readAddress();
  update();
  setInterval(update, SECONDS * 1000);
})();
