// The page of `speechxfer serve`: shows the state of the project and sends what the user does. All texts are inserted as text.
"use strict";

const WHAT = {prepare: "Import, split and check", fix: "Remove what has errors", train: "Training", try: "Transcription",
  transcribe: "Transcription", export: "Tiers", report: "Report"};
const STATUS = {running: "running", done: "done", failed: "failed", stopped: "stopped"};
const $ = (id) => document.getElementById(id);
let state = null;
let queue = [];  // utterances to correct, the least certain first
let total = 0;
let transcripts = "";
let shown = {};  // JSON of what each part shows, so that only changes are drawn

// ------------------------------------------------------------------------------------------------------------ elements
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const userText = (text, kind = "bdi") => element(kind, {dir: "auto"}, text);

function draw(id, content, make) {
  const key = JSON.stringify(content);
  if (shown[id] === key) return;
  shown[id] = key;
  const open = [...$(id).querySelectorAll("details[open]")].map((one) => one.dataset.name);
  $(id).replaceChildren(...make(content).filter((child) => child !== null));
  for (const one of $(id).querySelectorAll("details")) if (open.includes(one.dataset.name)) one.open = true;
}

const WRITES = {"multilingual-small": "multilingual-small (writes phones)", english: "english (writes English)"};

function choose(id, names) {
  const select = $(id), before = select.dataset.chosen;  // by the user; else the first, which is the newest
  draw(id, names, (all) => all.map((name) => element("option", {value: name}, WRITES[name] ?? name)));
  if (names.includes(before)) select.value = before;
}

const percent = (rate) => rate === null ? "∞" : `${(100 * rate).toFixed(1)} %`;
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

// ------------------------------------------------------------------------------------------------------------ requests
async function request(path, body, send = {}, asked = true) {
  try {
    const options = body === undefined ? send : {method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json"}};
    const answer = await fetch(path, options);
    const text = await answer.text();
    let value;
    try { value = JSON.parse(text); } catch { value = {error: text}; }
    if (!answer.ok) throw new Error(value.error ?? `error ${answer.status}`);
    if (asked || $("error").textContent === NO_ANSWER) showError("");  // an error stays until the user does something else
    return value;
  } catch (error) {
    showError(error instanceof TypeError ? NO_ANSWER : error.message);
    return null;
  }
}

const NO_ANSWER = "The program does not answer. Start it again: speechxfer serve";

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
  if (message) $("error").scrollIntoView({block: "nearest"});
}

async function act(name, body = {}) {
  const value = await request(`api/${name}`, body);
  if (value) show(value);
  return value;
}

async function poll() {
  const value = await request("api/state", undefined, {}, false);
  if (value) show(value);
  setTimeout(poll, state?.running ? 1000 : 4000);
}

async function upload(given) {
  const files = given.filter((file) => state.kinds.some((kind) => file.name.toLowerCase().endsWith(kind)));
  const faults = [];
  for (const [number, file] of files.entries()) {
    $("uploading").textContent = `Adding ${file.name} (${number + 1} of ${files.length})`;
    const sent = await request(`api/upload?name=${encodeURIComponent(file.name)}`, undefined, {method: "POST", body: file});
    if (!sent) faults.push($("error").textContent);
  }
  const others = given.length - files.length;
  $("uploading").textContent = `${count(files.length - faults.length, "file")} added.` + (others ? ` ${count(others, "file")} of other kinds not used.` : "");
  const value = await request("api/state");
  if (faults.length) showError(faults.slice(0, 3).join(" "));
  if (!value) return;
  show(value);
  if (value.sources.document_count && files.length > faults.length) act("prepare");
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    for (const one of some) if (!one.name.startsWith(".")) found.push(...await filesOf(one));
  }
  return found;
}

// ---------------------------------------------------------------------------------------------------------------- show
function show(value) {
  state = value;
  document.title = `${value.folder.split("/").pop()} – speechxfer`;
  $("version").textContent = value.version;
  $("folder").textContent = value.folder;
  showData(value.sources);
  showCheck(value.data);
  showTraining(value);
  showTries(value.tries);
  showCorrection(value);
  showExports(value);
  for (const kind of ["prepare", "fix", "train", "transcribe", "export", "report"]) showJob(`job-${kind}`, value.jobs[kind]);
}

function showJob(id, job) {
  const status = job ? `${WHAT[job.kind]}: ${STATUS[job.status]}` : "";
  if (shown[`${id} status`] !== undefined && shown[`${id} status`] !== status) $("announcement").textContent = status;
  shown[`${id} status`] = status;
  draw(id, job ?? null, () => job ? [jobCard(job)] : []);
}

function jobCard(job) {
  const progress = job.progress, commands = job.commands.join("\n");
  const step = job.commands.length > 1 && job.status === "running" ? `, command ${job.done + 1} of ${job.commands.length}` : "";
  const left = progress?.left ? `, about ${progress.left} left` : "";
  const doing = progress ? `${progress.what}: ${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}${left}` : "";
  const buttons = [];
  if (job.status === "running") buttons.push(element("button", {type: "button", onclick: () => act("stop", {job: job.number})}, job.stopping ? "Stop at once" : "Stop"));
  if (job.status === "stopped" || job.status === "failed") {
    const label = job.status === "failed" ? "Try again" : "Continue";
    buttons.push(element("button", {type: "button", onclick: () => act("resume", {job: job.number})}, label));
  }
  return element("div", {class: `job ${job.status}`, role: "group", "aria-label": `${WHAT[job.kind]}: ${STATUS[job.status]}`},
    element("p", {class: "status"}, `${WHAT[job.kind]}: ${STATUS[job.status]}${step}`), ...buttons,
    job.status === "running" ? element("progress", progress ? {max: progress.total, value: progress.done, "aria-label": doing} : {"aria-label": "running"}) : null,
    doing ? element("p", {class: "note"}, doing) : null,
    job.message ? element("p", {class: "fault"}, userText(job.message)) : null,
    element("details", {"data-name": "command"}, element("summary", {}, element("code", {class: "command"}, job.commands[Math.min(job.done, job.commands.length - 1)] ?? "")),
      element("pre", {}, `cd ${quoted(state.folder)}\n${commands}`),
      element("button", {type: "button", class: "copy", onclick: () => navigator.clipboard.writeText(`cd ${quoted(state.folder)}\n${commands}\n`)}, "Copy")),
    element("details", {"data-name": "log"}, element("summary", {}, "What it printed"), element("pre", {dir: "auto"}, job.log.join("\n"))));
}

const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`;

function showData(sources) {
  draw("folders", sources.folders, (folders) => folders.map((path) => element("li", {}, userText(path), " ",
    element("button", {type: "button", class: "copy", onclick: () => act("remove-folder", {path})}, "Do not use"))));
  const without = sources.untranscribed_count;
  $("counts").textContent = `${count(sources.document_count, "document")}, ${count(sources.recording_count, "recording")}` +
    (without ? `, ${without.toLocaleString("en")} of them without imported transcripts` : "");
  draw("file-list", [sources.documents, sources.recordings], () => [
    ...sources.documents.map((name) => element("li", {}, userText(name))),
    ...sources.recordings.map((one) => element("li", {}, userText(one.name), one.transcribed ? "" : " (no transcript)"))]);
  draw("faults", sources.faults, (faults) => faults.map((fault) => element("li", {}, userText(fault))));
  $("faults").hidden = !sources.faults.length;
  $("choose").hidden = !sources.document_count;
  draw("tiers", [sources.tiers, sources.chosen], () => sources.tiers.map((tier) => {
    const checked = sources.chosen.includes(tier.pattern) || !sources.chosen.length;
    return element("label", {}, element("input", {type: "checkbox", name: "tier", value: tier.pattern, checked}), " ", userText(tier.pattern),
      element("span", {class: "example"}, ` ${count(tier.texts, "text")} in ${count(tier.documents, "document")}, such as `, userText(tier.example, "q")));
  }));
  if (document.activeElement !== $("language") && shown.language !== sources.language) $("language").value = shown.language = sources.language;
}

function showCheck(data) {
  const parts = data?.splits.map((one) => `${one.name} ${count(one.utterances, "utterance")} (${(one.seconds / 60).toFixed(1)} min)`) ?? [];
  $("check-summary").textContent = !data ? "Add transcripts first." :
    `${parts.join(", ")}. ` + (!data.finding_count ? "Nothing was found." : data.errors ? `${count(data.errors, "utterance")} with errors.` : "No errors; please look at the warnings.") +
    (data.fixed ? ` ${count(data.removed, "utterance")} removed.` : "");
  draw("findings", data ? [data.findings, data.notes] : null, () => data ? [...data.notes.map((note) => element("p", {class: "note"}, userText(note))), findingTable(data)] : []);
  $("fix").hidden = !data?.errors || data.fixed;
  $("fix").textContent = `Remove ${count(data?.errors ?? 0, "utterance")} with errors, and correct durations`;
}

function findingTable(data) {
  if (!data.findings.length) return null;
  const kinds = new Map();
  for (const finding of data.findings) {
    const key = `${finding.severity} ${finding.kind}`;
    kinds.set(key, [...(kinds.get(key) ?? []), finding]);
  }
  const rows = [...kinds.values()].map((some) => element("tr", {}, element("td", {}, some[0].severity),
    element("th", {scope: "row"}, some[0].kind), element("td", {class: "number"}, String(some.length)),
    element("td", {class: "wide"}, element("details", {"data-name": some[0].kind}, element("summary", {}, userText(some[0].message)),
      element("ul", {class: "files"}, ...some.map((one) => element("li", {}, userText(one.id || one.split), ": ", userText(one.message))))))));
  return element("div", {class: "scroll"}, element("table", {}, element("caption", {}, "What was found"),
    element("thead", {}, element("tr", {}, ...["severity", "kind", "count", "what, and how to correct it"].map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, ...rows)));
}

function showTraining(value) {
  const data = value.data, corrected = value.corrected ? ` and ${count(value.corrected, "corrected utterance")}` : "";
  const train = data?.splits.find((one) => one.name === "train");
  $("train-summary").textContent = train ? `The model learns from ${(train.seconds / 60).toFixed(1)} minutes of speech${corrected}.` :
    value.corrected ? "Import first: “Train again with corrections” in step 5." : "Add transcripts first.";
  $("start").disabled = !data || value.jobs.train?.status === "running";
  choose("source", value.source_models);
  draw("models", value.models, (models) => models.length ? [element("div", {class: "scroll"}, element("table", {}, element("caption", {}, "Models"),
    element("thead", {}, element("tr", {}, ...["model", "from", "characters wrong on test", "words wrong on test", "characters wrong on dev while it was trained"].map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, ...models.map(modelRow))))] : []);
}

function modelRow(model) {
  const rate = (kind) => model.scores ? `${percent(model.scores[kind])} [${model.scores[`${kind}_interval`].map(percent).join(", ")}]` : model.finished ? "not scored" : "not finished";
  const curve = model.curve.filter((point) => point.cer !== null);
  const best = curve.length ? curve.reduce((one, other) => other.cer < one.cer ? other : one) : null;
  return element("tr", {}, element("th", {scope: "row"}, userText(model.name)), element("td", {}, userText(model.source)),
    element("td", {}, rate("cer")), element("td", {}, rate("wer")),
    element("td", {}, best ? `best ${percent(best.cer)} at step ${best.step}` : "", curve.length > 1 ? curvePicture(curve) : null));
}

function curvePicture(curve) {
  const space = "http://www.w3.org/2000/svg", picture = document.createElementNS(space, "svg"), line = document.createElementNS(space, "polyline");
  const last = curve[curve.length - 1].step, most = Math.max(...curve.map((point) => point.cer), 0.01);
  line.setAttribute("points", curve.map((point) => `${(100 * point.step / last).toFixed(1)},${(100 - 95 * point.cer / most).toFixed(1)}`).join(" "));
  for (const [key, value] of Object.entries({class: "curve", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img",
    "aria-label": `from ${percent(curve[0].cer)} to ${percent(curve[curve.length - 1].cer)}`})) picture.setAttribute(key, value);
  picture.append(line);
  return picture;
}

function showTries(tries) {
  choose("try-model", state.usable);
  draw("tries", tries, () => tries.map((one) => element("div", {}, jobCard(one.job), one.job.status === "done" ?
    element("p", {class: "result", dir: "auto"}, ...(one.words.length ? one.words.flatMap((word) => [triedWord(word), " "]) : [one.text || "(nothing was recognised)"])) : null)));
}

function triedWord(word) {
  const sure = word.confidence === null ? "" : `${(100 * word.confidence).toFixed(0)} % sure`;
  return element("span", {class: word.confidence !== null && word.confidence < 0.5 ? "unsure" : "", title: sure}, word.text);
}

function showExports(value) {
  choose("export-model", value.usable);
  const finished = value.models.filter((model) => model.finished).map((model) => model.name), model = $("export-model").value;
  $("export-weights").hidden = !finished.includes(model);
  $("export-weights").href = `download/${model}/model`;
  $("export-report").disabled = !finished.includes(model);
  draw("exports", value.exports, (all) => all.map(({kind, path}) => {
    const link = `download/${path.split("/").map(encodeURIComponent).join("/")}`;
    const what = path.endsWith("predicted") ? "All recordings as new ELAN documents: " : "Your documents with new tiers: ";
    return element("li", {}, kind === "report" ? element("a", {href: `${link}?open=1`, target: "_blank", rel: "noopener"}, "Open the report") : what,
      " ", element("a", {href: link, download: true}, userText(path)));
  }));
}

// ------------------------------------------------------------------------------------------------------------- correct
function showCorrection(value) {
  choose("suggest-model", value.usable);
  $("again").disabled = !value.corrected;
  const key = JSON.stringify([value.transcripts, value.corrected, value.skipped]);
  if (shown.suggestions === key) return;
  shown.suggestions = key;
  loadSuggestions();
}

async function loadSuggestions() {
  const found = await request("api/suggestions");
  if (!found) return;
  const before = queue[0]?.id;
  ({total, transcripts} = found);
  queue = found.utterances;
  $("correct-summary").textContent = (transcripts ? `${count(total, "utterance")} to look at, ` : "") + `${count(state.corrected, "utterance")} corrected.`;
  $("correction").hidden = !queue.length;
  if (queue.length && queue[0].id !== before) showUtterance(queue[0]);
}

function showUtterance(one) {
  $("place").replaceChildren(userText(one.recording), ` ${one.start.toFixed(1)} to ${one.end.toFixed(1)} s, confidence ${(100 * one.confidence).toFixed(0)} %`);
  $("text").value = one.text;
  const place = new URLSearchParams({recording: one.recording, start: one.start, end: one.end});
  $("player").src = `clip?${place}`;
  if ($("correction").contains(document.activeElement)) {
    $("text").focus();
    $("player").play().catch(() => {});  // a browser may refuse to play before the first click
  }
}

async function save() {
  if (queue.length) await act("correct", {transcripts, id: queue[0].id, text: $("text").value});
}

async function skip() {
  if (queue.length) await act("skip", {transcripts, id: queue[0].id});
}

// ----------------------------------------------------------------------------------------------------------------- try
let recorder = null;

async function record() {
  if (recorder) {
    recorder.stop();
    return;
  }
  let sound;
  try {
    sound = await navigator.mediaDevices.getUserMedia({audio: true});
  } catch (error) {
    showError(`The microphone cannot be used: ${error.message}`);
    return;
  }
  const parts = [];
  recorder = new MediaRecorder(sound);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    const type = recorder.mimeType;
    sound.getTracks().forEach((track) => track.stop());
    recorder = null;
    showRecording(false);
    tryFile(new Blob(parts, {type}), `microphone.${type.includes("ogg") ? "ogg" : type.includes("mp4") ? "mp4" : "webm"}`);
  });
  recorder.start();
  showRecording(true);
}

function showRecording(on) {
  $("record").textContent = on ? "Stop recording" : "Record";
  $("record").setAttribute("aria-pressed", String(on));
  $("recording").textContent = on ? "Recording: speak now." : "";
}

async function tryFile(content, name) {
  const place = new URLSearchParams({name, model: $("try-model").value});
  const value = await request(`api/try?${place}`, undefined, {method: "POST", body: content});
  if (value) show(value);
}

// -------------------------------------------------------------------------------------------------------------- events
function on(id, event, handle) {
  $(id).addEventListener(event, (given) => {
    if (event === "submit") given.preventDefault();
    return handle(given);
  });
}

for (const id of ["source", "try-model", "suggest-model", "export-model"]) {
  $(id).addEventListener("change", () => { $(id).dataset.chosen = $(id).value; });
}
on("files", "change", async () => {
  await upload([...$("files").files]);
  $("files").value = "";
});
for (const event of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(event, (given) => {
    given.preventDefault();
    $("drop").classList.toggle("over", event === "dragover");
  });
}
on("drop", "drop", async (given) => {
  const entries = [...given.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  upload((await Promise.all(entries.map(filesOf))).flat());
});
on("add-folder", "submit", async () => {
  const added = await act("add-folder", {path: $("path").value});
  if (!added) return;
  $("path").value = "";
  if (added.sources.document_count) act("prepare");
});
on("choose", "submit", async () => {
  const tiers = [...document.querySelectorAll('input[name="tier"]:checked')].map((one) => one.value);
  if (await act("choose", {tiers, language: $("language").value})) act("prepare");
});
on("fix", "click", () => act("fix", {data: state.data.name}));
on("length", "change", () => { $("steps-label").hidden = $("length").value !== "other"; });
on("training", "submit", () => {
  const chosen = $("length").value;
  act("train", {data: state.data.name, source: $("source").value, steps: chosen ? Number(chosen === "other" ? $("steps").value : chosen) : null});
});
on("record", "click", record);
on("try-file", "change", async () => {
  if ($("try-file").files.length) await tryFile($("try-file").files[0], $("try-file").files[0].name);
  $("try-file").value = "";
});
on("suggest", "submit", () => act("transcribe", {model: $("suggest-model").value}));
on("correction", "submit", save);
on("skip", "click", skip);
on("undo", "click", () => act("undo"));
on("again", "click", () => state.data ? $("training").requestSubmit() : act("prepare"));
on("correction", "keydown", (given) => {
  if (given.key === "Enter" && given.target === $("text") && !given.isComposing) {
    given.preventDefault();
    if (given.shiftKey) skip();
    else save();
  } else if (given.altKey && given.code === "KeyP") {
    given.preventDefault();
    if ($("player").paused) $("player").play();
    else $("player").pause();
  }
});
on("exporting", "submit", () => act("export", {model: $("export-model").value}));
on("export-report", "click", () => act("report", {models: [$("export-model").value]}));
on("export-model", "change", () => showExports(state));
poll();
