// Reads the values of a chart's lines under the pointer. The chart itself needs no script.
"use strict";
(() => {
  const UNIT = 1000;

  function ends(chart, name) {
    return chart.dataset[name].split(" ").map(Number);
  }

  function short(value) {
    for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= unit) return Number((value / unit).toPrecision(4)) + letter;
    }
    return String(Number(value.toPrecision(4)));
  }

  // The value of a line at a place, between its two points there.
  function at(line, place) {
    const points = line.points;
    let low = 0, high = points.numberOfItems - 1;
    if (high < 0 || place < points.getItem(0).x || place > points.getItem(high).x) return null;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points.getItem(middle).x <= place) low = middle; else high = middle;
    }
    const a = points.getItem(low), b = points.getItem(high);
    const share = b.x > a.x ? (place - a.x) / (b.x - a.x) : 1;
    return a.y + (b.y - a.y) * share;
  }

  function read(chart, share) {
    const [x0, x1] = ends(chart, "x"), [y0, y1] = ends(chart, "y");
    const texts = [chart.querySelector(".label").textContent + " " + short(x0 + share * (x1 - x0))];
    const lines = chart.querySelectorAll("polyline");
    for (const line of lines) {
      const y = at(line, share * UNIT);
      if (y === null) continue;
      const value = short(y0 + (1 - y / UNIT) * (y1 - y0));
      texts.push(lines.length > 1 ? line.dataset.name + " " + value : value);
    }
    return texts.join("   ");
  }

  function cursor(chart, share) {
    const plot = chart.querySelector("svg.plot");
    let line = plot.querySelector(".cursor");
    if (!line) {
      line = document.createElementNS(plot.namespaceURI, "line");
      line.setAttribute("class", "cursor");
      line.setAttribute("vector-effect", "non-scaling-stroke");
      line.setAttribute("y1", 0);
      line.setAttribute("y2", UNIT);
      plot.append(line);
    }
    line.setAttribute("x1", share * UNIT);
    line.setAttribute("x2", share * UNIT);
  }

  document.addEventListener("pointermove", (event) => {
    const area = event.target.closest && event.target.closest(".chart .area");
    if (!area) return;
    const chart = area.closest(".chart"), box = area.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    chart.querySelector(".reading").textContent = read(chart, share);
    cursor(chart, share);
  });
})();
