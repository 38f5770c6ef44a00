/* In a frame of another page, tell that page how high this one is, so that nobody scrolls inside a scrolling page. */
"use strict";

if (window.parent !== window) {
  const tell = () => window.parent.postMessage({ height: document.body.scrollHeight }, "*");
  new ResizeObserver(tell).observe(document.body);
}
