/* What the pages of the course's site do beyond their theme. */
"use strict";

// From disk the search may not read other pages, so it shows titles without excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

document.addEventListener("DOMContentLoaded", () => {
  // The static figure stands in the page; where scripts run, the page with scripts takes its place.
  for (const place of document.querySelectorAll(".explorable")) {
    const frame = document.createElement("iframe");
    frame.src = place.dataset.page;
    frame.title = place.dataset.title;
    frame.allow = "camera";
    const alone = document.createElement("p");
    const link = document.createElement("a");
    link.href = place.dataset.page;
    link.textContent = "Open it on a page of its own";
    alone.append(link);
    place.replaceChildren(alone, frame);
    window.addEventListener("message", (event) => {
      const height = Number(event.data && event.data.height);
      if (event.source === frame.contentWindow && height > 0) frame.style.height = `${Math.min(height, 20000) + 4}px`;
    });
  }
});

document.addEventListener("DOMContentLoaded", () => {
  // The theme's arrows that open a part of the contents have no name of their own.
  for (const arrow of document.querySelectorAll(".bd-sidebar-primary li > details > summary")) {
    const link = arrow.closest("li").querySelector("a");
    arrow.setAttribute("aria-label", `Pages of ${link ? link.textContent.trim() : "this part"}`);
  }
});
