// Renews the projector's page in place; without this script the page reloads itself every few seconds.
"use strict";

const POLL = 1500; // milliseconds
const element = (id) => document.getElementById(id);
let changesAt = performance.now() + 1000 * element("bar").value;
let shown = null;

function show(state) {
  changesAt = performance.now() + 1000 * state.seconds_left;
  if (state.qr !== shown) {
    element("qr").innerHTML = state.qr;
    shown = state.qr;
  }
  element("closed").hidden = state.is_open;
  element("left").hidden = !state.is_open;
  element("present").textContent = state.n_present;
  element("members").textContent = state.n_members;
  element("names").replaceChildren(...state.names.map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  }));
  element("names").classList.toggle("many", state.names.length > 14);
  element("more").hidden = state.n_more === 0;
  element("more").querySelector("span").textContent = state.n_more;
}

async function renew() {
  try {
    const answer = await fetch("/projector/state", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
    element("lost").hidden = true;
  } catch {
    element("lost").hidden = false;
    if (performance.now() > changesAt) {
      element("qr").replaceChildren(); // an old code would only be refused
      shown = null;
    }
  }
  setTimeout(renew, Math.max(100, Math.min(POLL, changesAt - performance.now() + 50)));
}

setInterval(() => { element("bar").value = Math.max(0, (changesAt - performance.now()) / 1000); }, 200);
renew();
