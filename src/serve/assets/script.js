// Replaces the parts of a page that change, such as a run at work. Pages are whole without it.
"use strict";

const etags = new Map();

// A part with an identifier is found again in a whole page; another one is all of the answer.
function found(text, part) {
  const page = new DOMParser().parseFromString(text, "text/html");
  return (part.id && page.getElementById(part.id)) || page.body;
}

// The user works with a part whose field, link or text is selected: it stays as it is.
function isInUse(part) {
  const selection = getSelection();
  return part.contains(document.activeElement) || (!selection.isCollapsed && part.contains(selection.anchorNode));
}

async function refresh(part) {
  const path = part.dataset.refresh;
  // What is over changes no more.
  if (document.hidden || isInUse(part) || part.querySelector("[data-over]")) return;
  const headers = { "X-Part": "1" };
  if (etags.has(path)) headers["If-None-Match"] = etags.get(path);
  try {
    const answer = await fetch(path, { headers, redirect: "error" });
    if (answer.status === 200) {
      if (answer.headers.has("ETag")) etags.set(path, answer.headers.get("ETag"));
      const fresh = found(await answer.text(), part);
      if (fresh.dataset.seconds) part.dataset.seconds = fresh.dataset.seconds;
      if (fresh.innerHTML !== part.innerHTML && !isInUse(part)) part.replaceChildren(...fresh.childNodes);
    }
  } catch {
    // The server may be away for a moment; the next time tells.
  }
}

async function follow(part) {
  for (;;) {
    await new Promise((later) => setTimeout(later, 1000 * Number(part.dataset.seconds || 15)));
    await refresh(part);
  }
}

for (const part of document.querySelectorAll("[data-refresh]")) follow(part);
