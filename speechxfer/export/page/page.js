// The page: recordings from the microphone and from files to samples, and the texts that the worker returns.

const element = (id) => document.getElementById(id);
show("Loading the model");
const settings = await (await fetch("settings.json")).json();
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const rows = new Map(); // of the transcripts in progress, by number
let recorder = null;
let count = 0;

element("model").textContent = settings.name;
worker.onerror = (event) => show(`The model cannot be run: ${event.message}`);
worker.onmessage = ({ data }) => {
  if (data.error) show(data.error);
  if (data.ready) {
    element("file").disabled = element("record").disabled = false;
    show("Ready");
  }
  const row = rows.get(data.number);
  if (row) {
    row.querySelector(".text").textContent = data.text;
    show(data.done ? "Ready" : `Transcribing: ${Math.round(data.share * 100)} %`);
    row.setAttribute("aria-busy", String(!data.done));
    if (data.done) rows.delete(data.number);
  }
};
worker.postMessage(settings);

element("file").onchange = async ({ target }) => {
  for (const file of target.files) await transcribe(file, file.name);
  target.value = "";
};

element("record").onclick = async () => {
  if (recorder) {
    recorder.stop();
    return;
  }
  if (!navigator.mediaDevices) {
    show("Browsers allow the microphone on https:// addresses and on this computer (localhost) only.");
    return;
  }
  try {
    const unprocessed = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    start(await navigator.mediaDevices.getUserMedia({ audio: unprocessed }));
  } catch (error) {
    show(`The microphone cannot be used: ${error.message}`);
  }
};

function start(stream) {
  const parts = [];
  recorder = new MediaRecorder(stream, { audioBitsPerSecond: 128000 });
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = () => {
    for (const track of stream.getTracks()) track.stop();
    const type = recorder.mimeType;
    recorder = null;
    mark(false);
    transcribe(new Blob(parts, { type }), `microphone, ${new Date().toLocaleTimeString()}`);
  };
  recorder.start();
  mark(true);
}

function mark(recording) {
  element("record").textContent = recording ? "Stop" : "Record";
  element("record").setAttribute("aria-pressed", String(recording));
  if (recording) show("Recording");
}

// Any file that the browser can play to one channel at the model's rate.
async function readSamples(blob) {
  const context = new OfflineAudioContext(1, 1, settings.sample_rate_hz);
  const audio = await context.decodeAudioData(await blob.arrayBuffer());
  const samples = audio.getChannelData(0).slice();
  for (let channel = 1; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((value, i) => { samples[i] += value; });
  }
  return samples.map((value) => value / audio.numberOfChannels);
}

async function transcribe(blob, source) {
  let samples;
  try {
    samples = await readSamples(blob);
  } catch {
    show(`${source}: this browser cannot read it as a recording`);
    return;
  }
  const number = ++count;
  rows.set(number, addRow(source, samples.length / settings.sample_rate_hz));
  worker.postMessage({ number, samples }, [samples.buffer]);
}

function addRow(source, seconds) {
  const row = document.createElement("li");
  const about = document.createElement("div");
  about.className = "source";
  about.textContent = `${source} (${seconds.toFixed(1)} s)`;
  const text = document.createElement("p");
  text.className = "text";
  text.dir = "auto";
  row.append(about, text);
  element("results").prepend(row);
  return row;
}

function show(text) {
  element("status").textContent = text;
}
