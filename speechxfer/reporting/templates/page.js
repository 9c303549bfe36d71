// The utterance browser: a list that is sorted and filtered, and the selected utterance with player, picture and alignment.
// Every text is inserted with textContent, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 300; // entries that are added to the list at a time
  const SEEK_S = 1;
  const MARKS = { "=": "", S: "≠ sub", D: "− del", I: "+ ins" };
  const SPOKEN = { S: "substitution", D: "deletion", I: "insertion" };
  const controls = {};
  for (const id of ["search", "speaker", "sort", "run", "least", "most", "with-audio"]) controls[id] = byId(id);
  const list = byId("list");
  const detail = byId("detail");
  let shown = []; // utterances that pass the filter, sorted
  let selected = null;
  let audio = null;
  let stopAt = Infinity;

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  const percent = (rate) => (rate === null ? "∞" : `${(100 * rate).toFixed(1)}`);
  const text = (value) => element("bdi", {}, value); // isolated: right-to-left text does not disturb what stands beside it
  const scored = (utterance) => utterance.runs[Number(controls.run.value)];

  // ------------------------------------------------------------------------------------------------ sort and filter
  const infinite = (rate) => (rate === null ? Infinity : rate);
  const collator = new Intl.Collator();
  const descending = (key) => (a, b) => key(b) - key(a) || 0;
  const ORDERS = {
    errors: descending((u) => scored(u).errors),
    wer: descending((u) => infinite(scored(u).wer)),
    cer: descending((u) => infinite(scored(u).cer)),
    confidence: (a, b) => scored(a).confidence - scored(b).confidence,
    seconds: (a, b) => a.seconds - b.seconds,
    speaker: (a, b) => collator.compare(a.speaker, b.speaker),
    reference: (a, b) => collator.compare(a.reference, b.reference),
    id: (a, b) => collator.compare(a.id, b.id),
  };

  function passes(utterance) {
    const run = scored(utterance);
    const wanted = controls.search.value.normalize("NFC").toLowerCase().trim();
    const texts = [utterance.id, utterance.reference, ...utterance.runs.map((one) => one.text)];
    return (
      (!wanted || texts.some((one) => one.normalize("NFC").toLowerCase().includes(wanted))) &&
      (!controls.speaker.value || `=${utterance.speaker}` === controls.speaker.value) &&
      100 * infinite(run.wer) >= Number(controls.least.value) &&
      (run.confidence === null || run.confidence <= Number(controls.most.value || 1)) &&
      (!controls["with-audio"].checked || Boolean(utterance.clip && utterance.clip.audio))
    );
  }

  function update(keepSelected) {
    shown = data.utterances.filter(passes).sort(ORDERS[controls.sort.value]);
    list.replaceChildren();
    list.scrollTop = 0;
    extend();
    const clips = shown.filter((one) => one.clip && one.clip.audio).length;
    byId("count").textContent =
      `${shown.length} of ${data.utterances.length} utterances` + (clips ? `, ${clips} with audio` : ", none with audio");
    select((keepSelected && shown.includes(selected) ? selected : shown[0]) || null);
  }

  // ------------------------------------------------------------------------------------------------------- the list
  function extend() {
    const start = list.childElementCount;
    shown.slice(start, start + PAGE).forEach((utterance, offset) => list.append(entry(utterance, start + offset)));
  }

  function entry(utterance, index) {
    const run = scored(utterance);
    const facts = [`${run.errors} of ${utterance.words} words wrong`];
    if (run.confidence !== null) facts.push(`confidence ${run.confidence.toFixed(2)}`);
    if (utterance.clip && utterance.clip.audio) facts.push("♪ audio");
    return element(
      "li",
      { role: "option", id: `entry-${index}`, "aria-selected": "false", onclick: () => select(utterance) },
      element("span", { class: "entry-text" }, text(utterance.reference || "(empty)")),
      element("span", { class: "entry-facts" }, facts.join(" · "), utterance.speaker ? " · " : "", text(utterance.speaker)),
    );
  }

  function select(utterance) {
    const index = shown.indexOf(utterance);
    while (index >= list.childElementCount && list.childElementCount < shown.length) extend();
    for (const one of list.querySelectorAll('[aria-selected="true"]')) one.setAttribute("aria-selected", "false");
    if (index >= 0) {
      const chosen = list.children[index];
      chosen.setAttribute("aria-selected", "true");
      list.setAttribute("aria-activedescendant", chosen.id);
      const [top, bottom] = [chosen.offsetTop, chosen.offsetTop + chosen.offsetHeight];
      if (top < list.scrollTop) list.scrollTop = top;
      else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    } else list.removeAttribute("aria-activedescendant");
    if (utterance !== selected || !detail.firstChild) show(utterance);
    selected = utterance;
  }

  // ------------------------------------------------------------------------------------------- the selected utterance
  function show(utterance) {
    if (audio) audio.pause();
    audio = null;
    if (!utterance) {
      detail.replaceChildren(element("p", {}, "No utterance passes the filter."));
      return;
    }
    const facts = [utterance.id, utterance.speaker, utterance.seconds === null ? "" : `${utterance.seconds.toFixed(2)} s`];
    const parts = facts.filter(Boolean).flatMap((fact, index) => (index ? [" · ", text(fact)] : [text(fact)]));
    detail.replaceChildren(
      element("h3", { class: "reference", dir: "auto" }, utterance.reference || "(empty reference)"),
      element("p", { class: "note" }, ...parts),
      ...player(utterance),
      ...utterance.runs.map((run, number) => alignment(run, number, utterance)),
    );
  }

  function player(utterance) {
    const clip = utterance.clip;
    if (!clip) return [element("p", { class: "note" }, "No audio on this page for this utterance.")];
    const playhead = element("span", { class: "playhead" });
    const image = element("img", {
      src: `data:image/png;base64,${clip.picture}`,
      alt: "Filterbank: 80 mel bands, low frequencies at the bottom, loud is dark (light in dark mode)",
    });
    const picture = element("div", { class: "picture" }, image, playhead);
    const parts = [picture];
    const times = timeline(utterance, clip.seconds);
    if (times) parts.push(times);
    if (!clip.audio) return [...parts, element("p", { class: "note" }, "The audio is not on this page.")];
    const own = element("audio", { controls: true, preload: "metadata", src: `data:${clip.type};base64,${clip.audio}` });
    audio = own;
    stopAt = Infinity;
    const follow = () => {
      if (own.currentTime >= stopAt) {
        own.pause();
        stopAt = Infinity;
      }
      playhead.style.left = `${Math.min(100, (100 * own.currentTime) / clip.seconds)}%`;
      if (!own.paused && own.isConnected) requestAnimationFrame(follow);
    };
    for (const event of ["play", "seeked", "timeupdate"]) own.addEventListener(event, follow);
    picture.addEventListener("click", (click) => {
      stopAt = Infinity;
      own.currentTime = (clip.seconds * (click.clientX - picture.getBoundingClientRect().left)) / picture.clientWidth;
    });
    return [...parts, own];
  }

  function timeline(utterance, seconds) {
    const words = scored(utterance).pairs.filter((pair) => pair[3]);
    if (!words.length) return null;
    const line = element("div", { class: "timeline", "aria-hidden": "true" });
    for (const [, word, kind, [start, end]] of words) {
      const cell = element("span", { class: `kind-${kind}`, title: word }, text(word));
      cell.style.left = `${(100 * start) / seconds}%`;
      cell.style.width = `${Math.max(0.5, (100 * (end - start)) / seconds)}%`;
      line.append(cell);
    }
    return line;
  }

  function alignment(run, number, utterance) {
    const facts = [`WER ${percent(run.wer)} %`, `CER ${percent(run.cer)} %`];
    if (run.confidence !== null) facts.push(`confidence ${run.confidence.toFixed(2)}`);
    const cells = run.pairs.map((pair) => cell(pair, Boolean(utterance.clip && utterance.clip.audio)));
    return element(
      "section",
      { class: `aligned s${number % 6}`, "aria-label": `Recognised by ${data.runs[number]}` },
      element("h4", {}, text(data.runs[number]), element("span", { class: "note" }, ` ${facts.join(", ")}`)),
      cells.length ? element("ol", { class: "cells", dir: "auto" }, ...cells) : element("p", {}, "(both empty)"),
    );
  }

  function cell([reference, hypothesis, kind, times], playable) {
    const spoken = kind === "=" ? [] : [element("span", { class: "hidden" }, `${SPOKEN[kind]}: `)];
    const word = hypothesis === null ? "—" : hypothesis;
    const title = times ? `${times[0].toFixed(2)} to ${times[1].toFixed(2)} s, confidence ${times[2].toFixed(2)}` : null;
    const recognised =
      times && playable
        ? element("button", { type: "button", class: "hypothesis", title, onclick: () => playWord(times) }, text(word))
        : element("span", { class: "hypothesis", title }, text(word));
    return element(
      "li",
      { class: `cell kind-${kind}` },
      ...spoken,
      element("span", { class: "word" }, text(reference === null ? "—" : reference)),
      recognised,
      element("span", { class: "mark", "aria-hidden": "true" }, MARKS[kind]),
      element("span", { class: "sure" }, times ? times[2].toFixed(2) : ""),
    );
  }

  // -------------------------------------------------------------------------------------------------------- playing
  function playWord([start, end]) {
    audio.currentTime = Math.max(0, start - 0.05);
    stopAt = end + 0.1;
    audio.play();
  }

  function toggle() {
    if (!audio) return;
    stopAt = Infinity;
    if (audio.paused) audio.play();
    else audio.pause();
  }

  function move(by) {
    const index = Math.min(shown.length - 1, Math.max(0, shown.indexOf(selected) + by));
    if (shown.length) select(shown[index]);
  }

  const KEYS = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(10),
    PageUp: () => move(-10),
    Home: () => move(-Infinity),
    End: () => move(Infinity),
    " ": toggle,
    ArrowLeft: () => audio && (audio.currentTime = Math.max(0, audio.currentTime - SEEK_S)),
    ArrowRight: () => audio && (audio.currentTime += SEEK_S),
  };

  byId("browser").addEventListener("keydown", (event) => {
    const own = event.target.closest("button, audio"); // these have keys of their own: a button space, the player all of them
    const left = own && (own.tagName === "AUDIO" || event.key === " ");
    if (left || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  // --------------------------------------------------------------------------------------------------------- set up
  list.addEventListener("scroll", () => {
    if (list.scrollTop + list.clientHeight > list.scrollHeight - 200) extend();
  });
  const speakers = [...new Set(data.utterances.map((one) => one.speaker))].sort(collator.compare);
  controls.speaker.append(...speakers.map((name) => element("option", { value: `=${name}` }, name || "(none)")));
  controls.run.append(...data.runs.map((name, number) => element("option", { value: String(number) }, name)));
  byId("run-label").hidden = data.runs.length < 2;
  const hide = (value, hidden) => (controls.sort.querySelector(`[value=${value}]`).hidden = hidden);
  const unsure = data.utterances.every((one) => one.runs.every((run) => run.confidence === null));
  byId("most-label").hidden = unsure;
  hide("confidence", unsure);
  hide("seconds", data.utterances.every((one) => one.seconds === null));
  hide("speaker", speakers.length < 2);
  for (const control of Object.values(controls)) control.addEventListener("input", () => update(control !== controls.sort));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["controls", "browser", "keys"]) byId(id).hidden = false;
  update(false);
})();
