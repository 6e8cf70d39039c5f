"use strict";
// Shows what has changed: fetches this page again and changes what differs, in place, so that
// scroll, focus, what is open and what is being typed stay as they are.
const EVERY = 10_000, WITHIN = 8_000;
let failedSince = null;

// Not `node.id`, which is a form's field of that name.
const keyOf = (node) => node.nodeType === 1 ? node.getAttribute("id") || node.getAttribute("data-key") || "" : "";
const isSame = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

function change(here, fresh) {
  if (here.nodeType !== 1) {
    if (here.data !== fresh.data) here.data = fresh.data;
    return;
  }
  // Who opened or closed something, or typed, wants it so.
  const isTheirs = (name) => name === "open" || (name === "value" && here.type !== "hidden");
  for (const { name } of [...here.attributes])
    if (!fresh.hasAttribute(name) && !isTheirs(name)) here.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (here.getAttribute(name) !== value && !isTheirs(name)) here.setAttribute(name, value);
  changeChildren(here, fresh);
}

function changeChildren(here, fresh) {
  const keyed = new Map(), wantedKeys = new Set([...fresh.childNodes].map(keyOf));
  for (const child of [...here.childNodes]) {
    if (!keyOf(child)) continue;
    if (wantedKeys.has(keyOf(child))) keyed.set(keyOf(child), child);
    else child.remove();
  }
  let next = here.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = keyOf(wanted) ? keyed.get(keyOf(wanted)) : null;
    if (known && known !== next) {
      here.insertBefore(known, next);
      next = known;
    }
    if (next && isSame(next, wanted)) {
      const changed = next;
      next = next.nextSibling;
      change(changed, wanted);
    } else {
      here.insertBefore(document.importNode(wanted, true), next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

// Where the reader is: at what has the focus, else below what sticks to the top.
function looksAt() {
  const { activeElement } = document, place = activeElement.getBoundingClientRect();
  const isSeen = activeElement !== document.body && place.bottom > 0 && place.top < innerHeight;
  return isSeen ? activeElement : document.elementFromPoint(innerWidth / 2, 90);
}

// What the reader looks at stays where it is, whatever grows above it.
function holdingStill(act) {
  const focused = document.activeElement, seen = scrollY > 0 ? looksAt() : null;
  const before = seen?.getBoundingClientRect().top;
  act();
  if (focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  if (seen?.isConnected) scrollBy({ top: seen.getBoundingClientRect().top - before, behavior: "instant" });
}

function say(text) {
  const news = document.getElementById("news");
  if (news.textContent !== text) news.textContent = text;
}

const headline = (page) => page.querySelector("header")?.dataset.said ?? "";

function show(page) {
  const said = headline(document);
  for (const script of page.querySelectorAll("body > script, #news")) script.remove();
  document.title = page.title;
  const rest = [...document.body.childNodes].filter((node) => node.id === "news" || node.nodeName === "SCRIPT");
  page.body.append(...rest.map((node) => node.cloneNode(true)));
  holdingStill(() => changeChildren(document.body, page.body));
  const now = headline(document);
  say(now === said ? "" : now);
}

async function renew() {
  if (document.hidden || !getSelection().isCollapsed) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(WITHIN) });
    if (answer.status === 401) return location.reload();
    if (!answer.ok && answer.status !== 404) throw new Error(answer.status);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    failedSince = null;
    document.body.classList.remove("stale");
  } catch {
    failedSince ??= new Date();
    document.body.classList.add("stale");
    say(`postwatch has not answered since ${failedSince.toISOString().slice(11, 19)} UTC: this page shows how things stood before that.`);
  }
}

setInterval(renew, EVERY);
document.addEventListener("visibilitychange", renew);
