// The page is complete without this script.
"use strict";
(() => {
  document.documentElement.classList.add("script");
  const byId = (id) => document.getElementById(id);
  const data = (id) => byId(id) && JSON.parse(byId(id).textContent);
  const views = [];
  let focus = "";

  // Charts: Vega draws each again, with tooltips.
  const tip = byId("tip");
  const showTip = (_, event, item, text) => {
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const beside = event.clientX + 14 + tip.offsetWidth < innerWidth;
    tip.style.left = `${Math.max(4, beside ? event.clientX + 14 : event.clientX - 14 - tip.offsetWidth)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4)}px`;
  };
  const drawCharts = async () => {
    // ast: interpret expressions, because some viewers forbid `eval`.
    const how = { mode: "vega", renderer: "svg", actions: false, ast: true, tooltip: showTip };
    for (const [key, spec] of Object.entries(data("specs") || {})) {
      const place = document.createElement("div");
      const { view } = await vegaEmbed(place, spec, how);
      byId(key).replaceChildren(place);
      byId(key).dataset.live = "true";
      views.push(view);
      if (focus) await view.signal("focus", focus).runAsync();
    }
  };

  // Legend: highlight one variant in the charts and in the text.
  const buttons = [...document.querySelectorAll("[data-focus]")];
  const stand = (label) => {
    focus = label;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.focus === label);
    for (const element of document.querySelectorAll("[data-variant]"))
      element.classList.toggle("focus", element.dataset.variant === label);
    for (const view of views) view.signal("focus", label).runAsync();
    const chosen = buttons.find((button) => button.dataset.focus === label);
    byId("summary").textContent = chosen ? chosen.dataset.summary : "";
  };
  for (const button of buttons)
    button.addEventListener("click", () => stand(button.dataset.focus === focus ? "" : button.dataset.focus));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && focus) stand("");
  });

  // Links within the page: scroll by hand, because MLflow's frame forbids following links.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const target = link && byId(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details"))
      part.open = true;
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
    try { history.pushState(null, "", link.hash); } catch { /* a frame without a URL */ }
  });

  // Confusions: the difference of any two variants.
  const form = byId("pair"), counts = data("counts");
  if (form && counts) {
    form.hidden = false;
    const [first, second] = form.querySelectorAll("select");
    const table = byId("difference");
    const subtract = () => {
      const [a, b] = [counts[first.value], counts[second.value]];
      const changes = a.counts.map((row, i) => row.map((n, j) => n / a.seeds - b.counts[i][j] / b.seeds));
      const largest = Math.max(...changes.flat().map(Math.abs)) || 1;
      changes.forEach((row, i) => row.forEach((change, j) => {
        const cell = table.tBodies[0].rows[i].cells[j + 1], rounded = Math.round(Math.abs(change));
        cell.textContent = rounded ? (change > 0 ? "+" : "\u2212") + rounded.toLocaleString("en") : "";
        cell.className = (i === j ? "hit " : "") + (rounded ? (change > 0 ? "more" : "less") : "");
        cell.style.setProperty("--s", rounded ? Math.sqrt(Math.abs(change) / largest) : 0);
      }));
      const caption = `Test images of ${first.value} minus those of ${second.value}.`;
      table.caption.textContent = caption;
      table.parentElement.setAttribute("aria-label", caption);
    };
    form.addEventListener("change", subtract);
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // Only scrollable elements need to be focusable; an edge with more behind it fades.
  const fade = (region) => {
    const hidden = region.scrollWidth - region.clientWidth - Math.round(region.scrollLeft);
    region.classList.toggle("more-left", region.scrollLeft > 1);
    region.classList.toggle("more-right", hidden > 1);
  };
  const measure = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
      fade(target);
    }
  });
  for (const region of document.querySelectorAll(".scroll, .plot, .strip")) {
    measure.observe(region);
    region.addEventListener("scroll", () => fade(region), { passive: true });
  }

  // Print the folded parts, too.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].filter((d) => d.matches(".part") || d.closest("#confusions"));
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });

  // If this fails, the static charts remain.
  if (byId("specs")) drawCharts().catch((error) => console.info("The charts stay static:", error.message));
})();
