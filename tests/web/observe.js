// Runs before the page's own code: keeps its peer connections, so that their statistics can be read, and notes what the
// content security policy refuses.
(() => {
  const connections = [];
  const violations = [];
  const PATIENCE_MS = 20_000;
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      connections.push(this);
    }
  };
  document.addEventListener("securitypolicyviolation", (event) => {
    violations.push(`${event.effectiveDirective} refused ${event.blockedURI}`);
  });

  const measure = { video: "framesDecoded", audio: "totalAudioEnergy" };

  async function amounts(kind) {
    const found = new Map();
    for (const [index, connection] of connections.entries()) {
      if (connection.connectionState === "closed") continue;
      for (const entry of (await connection.getStats()).values()) {
        if (entry.type === "inbound-rtp" && entry.kind === kind) found.set(`${index}/${entry.id}`, entry[measure[kind]] ?? 0);
      }
    }
    return found;
  }

  async function until(what, holds) {
    const deadline = performance.now() + PATIENCE_MS;
    let seen;
    while (performance.now() < deadline) {
      seen = await holds();
      if (seen.done) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not in ${PATIENCE_MS / 1000} s: ${what}; saw ${JSON.stringify(seen)}`);
  }

  async function delivering(kind, count) {
    const first = await amounts(kind);
    await until(`${count} ${kind} streams deliver`, async () => {
      const now = await amounts(kind);
      const rising = [...now].filter(([id, amount]) => amount > (first.get(id) ?? 0));
      return { done: rising.length >= count, now: [...now.values()] };
    });
  }

  // The fake microphone beeps once a second, so two seconds without energy are silence.
  async function silent() {
    let [before, since] = [await amounts("audio"), performance.now()];
    await until("silence", async () => {
      const now = await amounts("audio");
      if ([...now].some(([id, amount]) => amount - (before.get(id) ?? 0) > 1e-6)) [before, since] = [now, performance.now()];
      return { done: performance.now() - since > 2_000, now: [...now.values()] };
    });
  }

  async function playing(video) {
    await until("a playing picture", () => {
      const ready = video.videoWidth > 0 && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
      return Promise.resolve({ done: ready, width: video.videoWidth, state: video.readyState });
    });
    const first = video.getVideoPlaybackQuality().totalVideoFrames;
    await until("new frames", () => {
      const frames = video.getVideoPlaybackQuality().totalVideoFrames;
      return Promise.resolve({ done: frames > first + 2, frames });
    });
  }

  window.observed = { violations, delivering, silent, playing };
})();
