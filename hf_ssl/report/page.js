// Shows the values under the pointer. Without it the page says everything too: the last values stand over each chart.
"use strict";
const SVG = "http://www.w3.org/2000/svg";

function nearest(points, x) {
  return points.reduce((best, point) => (Math.abs(point[1] - x) < Math.abs(best[1] - x) ? point : best));
}

function shape(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
}

function watch(chart) {
  const series = JSON.parse(chart.dataset.series);
  const hover = chart.querySelector(".hover");
  const readout = chart.closest("figure").querySelector(".readout");
  const [first, height] = [readout.cloneNode(true), chart.viewBox.baseVal.height];
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    hover.replaceChildren();
    readout.replaceChildren();
    series.forEach((line, number) => {
      if (!line.points.length) return;
      const [step, left, top, text] = nearest(line.points, x);
      if (!readout.children.length) {
        shape("line", { x1: left, x2: left, y1: 8, y2: height - 24 }, hover);
        const label = document.createElement("span");
        label.textContent = `step ${step.toLocaleString("en")}`;
        readout.append(label);
      }
      shape("circle", { cx: left, cy: top, r: 4, class: `dot s${number}` }, hover);
      const reading = document.createElement("span");
      reading.className = `reading s${number}`;
      const value = document.createElement("b");
      value.textContent = text;
      reading.append(line.name ? `${line.name} ` : "", value);
      readout.append(reading);
    });
  });
  chart.addEventListener("pointerleave", () => {
    hover.replaceChildren();
    readout.replaceChildren(...first.cloneNode(true).childNodes);
  });
}

document.querySelectorAll("svg[data-series]").forEach(watch);
document.documentElement.dataset.script = "ran";
