// One participant in a page of its own: livekit-client as an application would use it, plus what the tests ask about it.
// Everything here is called from Python by name; results are plain values.
(() => {
  const { Room, RoomEvent, Track, VideoQuality, ExternalE2EEKeyProvider, ConnectionCheck } = LivekitClient;
  const PATIENCE_MS = 25_000;
  const state = { room: undefined, events: [], data: [], texts: [], files: [], keys: undefined };
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function until(what, look) {
    const deadline = performance.now() + PATIENCE_MS;
    let seen;
    for (;;) {
      seen = await look();
      if (seen.done) return seen;
      if (performance.now() > deadline) break;
      await wait(100);
    }
    throw new Error(`not in ${PATIENCE_MS / 1000} s: ${what}; saw ${JSON.stringify(seen)}; events ${state.events.join(" ")}`);
  }

  const NOTED = [
    "Connected", "Disconnected", "Reconnecting", "SignalReconnecting", "Reconnected", "ParticipantConnected",
    "ParticipantDisconnected", "TrackStreamStateChanged", "TrackSubscriptionPermissionChanged", "TrackSubscriptionFailed",
    "ParticipantPermissionsChanged", "RoomMetadataChanged", "EncryptionError", "ConnectionQualityChanged", "LocalTrackUnpublished",
  ];

  async function connect(url, token, options = {}) {
    const { e2ee, singlePeerConnection, undecodable, ...rest } = options;
    const roomOptions = { ...rest };
    if (undecodable) forget(undecodable);
    if (singlePeerConnection !== undefined) roomOptions.singlePeerConnection = singlePeerConnection;
    if (e2ee) {
      state.keys = new ExternalE2EEKeyProvider();
      await state.keys.setKey(e2ee);
      roomOptions.encryption = { keyProvider: state.keys, worker: new Worker("/livekit-client/livekit-client.e2ee.worker.js") };
    }
    const room = (state.room = new Room(roomOptions));
    for (const name of NOTED) room.on(RoomEvent[name], () => state.events.push(name));
    room.on(RoomEvent.Disconnected, (reason) => state.events.push(`Disconnected:${reason}`));
    room.on(RoomEvent.ActiveSpeakersChanged, (speakers) => state.events.push(`Speakers:${speakers.map((s) => s.identity)}`));
    room.on(RoomEvent.DataReceived, (payload, from, _, topic) =>
      state.data.push({ text: new TextDecoder().decode(payload), from: from?.identity, topic }));
    // Chromium decodes audio only for somebody who listens.
    room.on(RoomEvent.TrackSubscribed, (track) => track.kind === "audio" && document.body.append(track.attach()));
    room.registerTextStreamHandler("texts", async (reader, from) => {
      const text = await reader.readAll();
      state.texts.push({ length: text.length, end: text.slice(-8), from: from.identity });
    });
    room.registerByteStreamHandler("files", async (reader, from) => {
      const parts = await reader.readAll();
      const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      state.files.push({ name: reader.info.name, size: bytes.length, digest: hex(digest), from: from.identity });
    });
    room.registerRpcMethod("double", async ({ payload, callerIdentity }) => `${callerIdentity}:${payload}${payload}`);
    if (e2ee) await room.setE2EEEnabled(true);
    await room.connect(url, token, { autoSubscribe: options.autoSubscribe ?? true });
    return room.localParticipant.sid;
  }

  // As on a device that has no decoder for this codec.
  function forget(mimeType) {
    const others = RTCRtpReceiver.getCapabilities("video").codecs.filter((codec) => codec.mimeType !== mimeType);
    for (const name of ["createOffer", "createAnswer"]) {
      const original = RTCPeerConnection.prototype[name];
      RTCPeerConnection.prototype[name] = function (...given) {
        const receiving = this.getTransceivers().filter((t) => t.receiver.track.kind === "video" && t.direction !== "sendonly");
        for (const transceiver of receiving) transceiver.setCodecPreferences(others);
        return original.apply(this, given);
      };
    }
  }

  const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  const remote = (identity) => state.room.remoteParticipants.get(identity);

  async function publicationOf(identity, source) {
    const seen = await until(`${identity} publishes ${source}`, () => {
      const publication = remote(identity)?.getTrackPublication(source);
      return { done: !!publication, publication };
    });
    return seen.publication;
  }

  async function trackOf(identity, source) {
    const publication = await publicationOf(identity, source);
    await until(`${source} of ${identity} is subscribed`, () => ({ done: !!publication.track }));
    return publication.track;
  }

  async function inbound(track) {
    const report = await track.receiver.getStats();
    for (const entry of report.values()) if (entry.type === "inbound-rtp") return { ...entry, report };
    return undefined;
  }

  // Decoded frames for video, energy for audio: both grow only while real media arrives.
  const amount = (entry) => (entry?.kind === "video" ? entry.framesDecoded : entry?.totalAudioEnergy) ?? 0;

  async function receives(identity, source) {
    let track, first;
    await until(`${source} of ${identity} arrives`, async () => {
      const current = await trackOf(identity, source);
      const entry = await inbound(current);
      const now = amount(entry);
      // A subscription made anew counts from nothing.
      if (current !== track) [track, first] = [current, now];
      return { done: entry?.kind === "video" ? now > first + 5 : now > first + 1e-6, first, now };
    });
  }

  async function hasWidth(identity, source, wanted) {
    await until(`${source} of ${identity} is ${wanted} wide`, async () => {
      const entry = await inbound(await trackOf(identity, source));
      return { done: entry?.frameWidth === wanted, width: entry?.frameWidth };
    });
    await receives(identity, source);
  }

  const decoded = async (identity, source) => (await inbound(await trackOf(identity, source)))?.framesDecoded ?? 0;

  // Packets per second over a while; 0 when the server pauses a stream or the publisher is quiet.
  async function packetRate(identity, source, ms = 1500) {
    const track = await trackOf(identity, source);
    const before = (await inbound(track))?.packetsReceived ?? 0;
    await wait(ms);
    return (((await inbound(track))?.packetsReceived ?? 0) - before) / (ms / 1000);
  }

  async function goesQuiet(identity, source) {
    await until(`${source} of ${identity} goes quiet`, async () => {
      const rate = await packetRate(identity, source, 800);
      return { done: rate === 0, rate };
    });
  }

  // "udp" or "tcp", of each peer connection that carries anything.
  async function protocols() {
    const { publisher, subscriber } = state.room.engine.pcManager;
    const seen = [];
    for (const transport of [publisher, subscriber].filter(Boolean)) {
      const report = await transport.getStats();
      const used = [...(report?.values() ?? [])].find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
      const pair = used && report.get(used.selectedCandidatePairId);
      if (pair) seen.push(report.get(pair.localCandidateId).protocol);
    }
    return seen;
  }

  const goesOver = (protocol) =>
    until(`everything goes over ${protocol}`, async () => {
      const seen = await protocols();
      return { done: seen.length > 0 && seen.every((one) => one === protocol), seen };
    });

  // For longer than the server's blank frames take.
  async function unsubscribed(identity, source) {
    const publication = await publicationOf(identity, source);
    await until(`${source} of ${identity} is not subscribed`, () => ({ done: !publication.track }));
    await wait(800);
  }

  async function codec(identity, source) {
    const entry = await inbound(await trackOf(identity, source));
    return entry?.report.get(entry.codecId)?.mimeType ?? "";
  }

  async function publishVideo(options = {}, size = { width: 1280, height: 720 }, source = "camera") {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, frameRate: 24 } });
    const published = await state.room.localParticipant.publishTrack(stream.getVideoTracks()[0], { source, ...options });
    return published.trackSid;
  }

  async function outbound() {
    const seen = [];
    for (const publication of state.room.localParticipant.videoTrackPublications.values()) {
      const senders = [publication.track?.sender, ...[...(publication.track?.simulcastCodecs?.values() ?? [])].map((c) => c.sender)];
      for (const sender of senders.filter(Boolean)) {
        const report = await sender.getStats();
        for (const entry of report.values()) {
          if (entry.type !== "outbound-rtp") continue;
          seen.push({ rid: entry.rid ?? "", active: entry.active, mime: report.get(entry.codecId)?.mimeType ?? "", frames: entry.framesSent ?? 0 });
        }
      }
    }
    return seen;
  }

  // `what`: "rid" of layers, or "mime" of codecs.
  async function sendsOnly(wanted, what = "rid") {
    await until(`only ${wanted} are sent`, async () => {
      const first = await outbound();
      await wait(800);
      const now = await outbound();
      const sent = now.filter((o) => o.frames > (first.find((f) => f.rid === o.rid && f.mime === o.mime)?.frames ?? 0));
      const rising = [...new Set(sent.map((o) => o[what]))];
      return { done: rising.sort().join() === [...wanted].sort().join(), rising };
    });
  }

  async function attach(identity, source, cssWidth, cssHeight) {
    const track = await trackOf(identity, source);
    const element = track.attach();
    element.muted = true;
    element.id = `video-${identity}`;
    element.style.width = `${cssWidth}px`;
    element.style.height = `${cssHeight}px`;
    document.body.append(element);
  }

  function resize(identity, cssWidth, cssHeight) {
    const { style } = document.getElementById(`video-${identity}`);
    style.display = cssWidth ? "block" : "none";
    style.width = `${cssWidth}px`;
    style.height = `${cssHeight}px`;
  }

  async function sendBytes(to, name, size) {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, Math.min(i + 65536, size)));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const file = new File([bytes], name);
    await state.room.localParticipant.sendFile(file, { topic: "files", destinationIdentities: to });
    return hex(digest);
  }

  async function simulate(scenario) {
    const mark = state.events.length;
    await state.room.simulateScenario(scenario);
    const done = await until(`reconnected after ${scenario}`, () => {
      const since = state.events.slice(mark);
      return { done: since.includes("Reconnected") || since.some((e) => e.startsWith("Disconnected")), since };
    });
    return done.since;
  }

  async function checks(url, token) {
    const checker = new ConnectionCheck(url, token);
    const results = {};
    for (const name of ["Websocket", "WebRTC", "Reconnect", "PublishAudio", "PublishVideo", "ConnectionProtocol"]) {
      const info = await checker[`check${name}`]();
      results[name] = { status: info.status, logs: info.logs.map((l) => `${l.level}: ${l.message}`) };
    }
    return results;
  }

  window.caller = {
    state, until, connect, receives, hasWidth, decoded, packetRate, goesQuiet, unsubscribed, goesOver, codec, publishVideo, outbound, sendsOnly, attach, resize,
    sendBytes, simulate, checks, publicationOf, trackOf, VideoQuality, Track,
    sees: (name) => until(name, () => ({ done: state.events.includes(name), events: state.events })),
    got: (what, count) => until(`${count} ${what}`, () => ({ done: state[what].length >= count, seen: state[what] })).then((s) => s.seen),
    async quality(identity, source, quality) { (await publicationOf(identity, source)).setVideoQuality(VideoQuality[quality]); },
    async subscribe(identity, source, on) { (await publicationOf(identity, source)).setSubscribed(on); },
  };
})();
