// Puts the pieces that Python renders into their places, and opens sources. Decides nothing, asks no other host.
// The list of conversations, thumbs and talks with people are in chats.js, which adds itself to `deskmate`.
"use strict";

const deskmate = (() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const narrow = window.matchMedia("(max-width: 999px)");
  const question = () => one("#dm-question textarea");
  const toQuestion = () => narrow.matches || question()?.focus({ preventScroll: true }); // no keyboard pops up on a phone

  /* Theme: the system's, or what was chosen. Gradio's own class follows, for the pieces that it draws. */

  const stored = () => {
    try {
      return localStorage.getItem("deskmate-theme");
    } catch {
      return null; // storage is switched off
    }
  };
  const isDark = () =>
    (root.dataset.theme || (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  function showTheme(theme) {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    if (document.body) document.body.classList.toggle("dark", isDark());
  }

  function switchTheme() {
    const theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("deskmate-theme", theme);
    } catch {
      /* then it holds for this visit */
    }
    showTheme(theme);
  }

  showTheme(stored());

  /* Whoever is signed out meanwhile is told, and comes back to this page; what was typed stays until then. */

  const fetchAny = window.fetch;
  window.fetch = async (...request) => {
    const reply = await fetchAny(...request);
    if (reply.status === 401 && !one(".dm-away")) showAway();
    return reply;
  };

  function showAway() {
    const away = document.createElement("div");
    away.className = "dm-away";
    away.setAttribute("role", "alert");
    const link = document.createElement("a");
    link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in again";
    away.append("You have been signed out.", link);
    document.body.append(away);
  }

  /* The bar, the lines above the question, the note below it. */

  const on = (element, name, action) =>
    element.addEventListener("click", (event) => {
      const button = event.target.closest(`[data-do="${name}"]`);
      if (button) action(button);
    });

  function bar(element) {
    showTheme(stored());
    on(element, "theme", switchTheme);
    on(element, "fresh", fresh);
    on(element, "past", () => deskmate.chats.toggle());
    const skip = one(".dm-skip", element);
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      question()?.focus();
    });
  }

  function lines(element) {
    on(element, "keep", () => {
      showEditing("");
      send("undo");
      question()?.focus();
    });
    on(element, "end-talk", () => deskmate.chats.endTalk());
    document.addEventListener("input", (event) => {
      if (event.target === question()) showHint("");
    });
  }

  function showHint(text) {
    const hint = one(".dm-hint");
    if (hint && hint.textContent !== text) hint.textContent = text;
  }

  function showEditing(text) {
    const line = one(".dm-editing");
    if (!line) return;
    line.hidden = !text;
    one("span", line).textContent = text;
    document.body.classList.toggle("dm-edits", Boolean(text));
  }

  function note(element) {
    on(element, "talk", (button) => deskmate.chats.handOver(button));
    const show = () => {
      const chosen = one("#dm-mode input:checked");
      one(".dm-mode-note", element).textContent = (chosen && deskmate.modes[chosen.value].note) || "";
      chosen?.closest("label").scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    document.addEventListener("change", (event) => {
      if (event.target.closest?.("#dm-mode")) show();
    });
    show();
    // Gradio draws the switch after this piece, perhaps.
    const late = new MutationObserver(() => {
      if (!one("#dm-mode input:checked")) return;
      show();
      late.disconnect();
    });
    late.observe(one("#dm-composer") || document.body, { childList: true, subtree: true });
  }

  /* Which conversation the page shows: its address says so. */

  let send = () => {}; // an event to the server; the transcript brings it
  let conversation = new URLSearchParams(location.search).get("c") || "";

  function become(id, push = false) {
    if (id === conversation) return;
    conversation = id;
    const address = id ? `/?c=${encodeURIComponent(id)}` : "/";
    if (location.pathname + location.search !== address) history[push ? "pushState" : "replaceState"](null, "", address);
    deskmate.chats.mark(id);
  }

  function open(id, push = true) {
    source.close();
    become(id, push);
    send("expand", { conversation: id });
    toQuestion();
  }

  function fresh() {
    source.close();
    become("", true);
    send("clear");
    deskmate.chats.away();
    toQuestion();
  }

  window.addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("c") || "";
    source.close();
    conversation = id;
    deskmate.chats.mark(id);
    if (id) send("expand", { conversation: id });
    else send("clear");
  });

  /* What was typed, or asked in vain, is there again after the page was loaded anew: for the one who typed it. */

  const DRAFT = "deskmate-draft";
  let person = ""; // who asks, as the server says it for the bar

  function keepDraft(text) {
    try {
      if (text.trim()) sessionStorage.setItem(DRAFT, JSON.stringify({ text, person }));
      else sessionStorage.removeItem(DRAFT);
    } catch {
      /* then it is typed again */
    }
  }

  function takeDraft(box) {
    try {
      const draft = JSON.parse(sessionStorage.getItem(DRAFT));
      sessionStorage.removeItem(DRAFT);
      if (draft && draft.person === person && !box.value) {
        box.value = draft.text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
      }
    } catch {
      /* storage is switched off */
    }
  }

  /* The transcript. */

  // Make `old` look like `next`, leaving alone what is the same: focus and selection live there.
  function settle(old, next) {
    const wanted = [...next.childNodes];
    const have = [...old.childNodes];
    wanted.forEach((node, place) => {
      const there = have[place];
      if (!there) old.append(node);
      else if (there.isEqualNode(node)) return;
      else if (there.nodeType === 1 && node.nodeType === 1 && there.cloneNode().isEqualNode(node.cloneNode()))
        settle(there, node);
      else there.replaceWith(node);
    });
    have.slice(wanted.length).forEach((node) => node.remove());
  }

  function fill(part, html) {
    if (part.written === html) return;
    part.written = html;
    const next = document.createElement("template");
    next.innerHTML = html;
    settle(part, next.content);
  }

  const PARTS = ["question", "body", "after", "refs", "cites"];

  function newTurn(number) {
    const turn = document.createElement("article");
    turn.className = "dm-turn";
    turn.dataset.turn = number;
    for (const part of PARTS) {
      const place = document.createElement("div");
      place.className = `dm-${part}`;
      turn.append(place);
    }
    return turn;
  }

  // Moments by the reader's clock.
  function clocks(part) {
    for (const time of all("time", part))
      time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }

  function transcript(element, props, watch, trigger) {
    send = trigger;
    const log = one(".dm-log", element);
    const status = one('[role="status"]', element);
    const scroller = one("#dm-transcript");
    let follows = true; // whether the reader is at the end and wants to stay there

    scroller.addEventListener("scroll", () => {
      follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
    });

    // The turn as it will come, shown at once: the server needs a moment to take the question.
    let soon = null;

    let lately = ""; // the question that is being answered

    function expect(text) {
      if (!text.trim() || document.body.classList.contains("dm-busy")) return;
      forget();
      lately = text;
      soon = newTurn("soon");
      const asked = Object.assign(document.createElement("p"), { className: "dm-ask", textContent: text.trim().slice(0, 600) });
      one(".dm-question", soon).append(asked);
      if (!document.body.classList.contains("dm-with-person")) waitIn(soon);
      log.append(soon);
      greet(false);
      scroller.scrollTop = scroller.scrollHeight;
    }

    function greet(shown) {
      const welcome = one(".dm-welcome", log);
      if (welcome) welcome.hidden = !shown;
      document.body.classList.toggle("dm-empty", Boolean(welcome) && shown);
      one('[data-do="fresh"]').hidden = Boolean(welcome) && shown;
    }

    function waitIn(turn) {
      const mode = one("#dm-mode input:checked")?.value;
      const state = deskmate.modes[mode]?.state || "…";
      const dots = '<span class="dm-dots" aria-hidden="true"><i></i><i></i><i></i></span>';
      const line = Object.assign(document.createElement("p"), { className: "dm-state", innerHTML: dots });
      line.append(state);
      one(".dm-body", turn).replaceChildren(line);
      document.body.classList.add("dm-busy");
      heard = Date.now();
    }

    // Gradio can lose the thread: see `_nothing` in app.chat.ui. And a server that went away says nothing.
    let heard = 0;
    let nudged = 0;

    function nudge() {
      if (!document.body.classList.contains("dm-busy") || Date.now() - Math.max(heard, nudged) < 1500) return;
      if (Date.now() - heard > 10000) return;
      nudged = Date.now();
      trigger("select");
    }

    setInterval(nudge, 500);

    const silent = () => (document.body.classList.contains("dm-busy") ? Date.now() - heard : 0);

    // A server that started anew knows nothing of the question; one without a session for us asks us to sign in.
    async function watchOver() {
      setTimeout(watchOver, 2500);
      if (silent() < 4000) return;
      const there = await here();
      if (silent() < 4000) return;
      if (there === "moved") again();
      else if (silent() > { there: 180000, slow: 60000, gone: 8000 }[there]) lost();
    }

    function lost() {
      document.body.classList.remove("dm-busy", "dm-stops");
      const body = one(".dm-turn:last-child .dm-body", log);
      one(".dm-writing", body)?.classList.remove("dm-writing");
      one(".dm-state", body)?.remove();
      const text = "The connection to the help desk was lost. This page connects again as soon as it can.";
      body?.append(Object.assign(document.createElement("p"), { className: "dm-note", textContent: text }));
      status.textContent = text;
      const knocking = setInterval(async () => {
        if (["gone", "slow"].includes(await here())) return;
        clearInterval(knocking);
        again();
      }, 2000);
    }

    // Load the page anew: what is kept is shown again, and the question that was lost is in the box.
    function again() {
      const text = question()?.value || lately;
      window.addEventListener("pagehide", () => keepDraft(text));
      location.reload();
    }

    window.addEventListener("pagehide", () => {
      keepDraft(question()?.value || (document.body.classList.contains("dm-busy") ? lately : ""));
    });

    watchOver();

    function forget() {
      soon?.remove();
      soon = null;
    }

    // A kept conversation, whole. Its sources come when they are opened.
    function showLog(parts) {
      log.replaceChildren();
      for (const part of parts) {
        if (part.said) showSaid(part);
        else {
          const turn = newTurn(part.turn);
          if (part.exchange) turn.dataset.exchange = part.exchange;
          for (const name of PARTS) fill(one(`.dm-${name}`, turn), part[name] || "");
          log.append(turn);
        }
      }
      follows = true;
      requestAnimationFrame(() => (scroller.scrollTop = scroller.scrollHeight));
    }

    function showSaid(part) {
      if (one(`[data-said="${part.said}"]`, log)) return;
      forget();
      one(".dm-welcome", log)?.remove();
      const turn = document.createElement("article");
      turn.className = "dm-turn dm-said";
      turn.dataset.said = part.said;
      turn.innerHTML = part.html; // escaped by app.chat.handing
      clocks(turn);
      log.append(turn);
      greet(false);
      if (follows) scroller.scrollTop = scroller.scrollHeight;
    }

    function showEnded(text) {
      const note = Object.assign(document.createElement("p"), { className: "dm-turn dm-note dm-over", textContent: text });
      log.append(note);
      status.textContent = text;
      scroller.scrollTop = scroller.scrollHeight;
    }

    function showTurn(patch) {
      one(".dm-welcome", log)?.remove();
      if (patch.drop) one(`[data-turn="${patch.drop}"]`, log)?.remove();
      let turn = one(`[data-turn="${patch.turn}"]`, log);
      if (!turn) {
        turn = newTurn(patch.turn);
        log.append(turn);
        follows = true;
        source.close();
      }
      for (const part of PARTS) fill(one(`.dm-${part}`, turn), patch[part] || "");
      turn.setAttribute("aria-busy", String(patch.busy));
      if (follows) scroller.scrollTop = scroller.scrollHeight;
    }

    let first = true; // the empty page that comes with the address, whatever conversation that names

    function apply() {
      const patch = props.value;
      if (!patch || typeof patch !== "object") return;
      const body = document.body.classList;
      heard = Date.now();
      if (patch.turn || patch.welcome || patch.log || patch.hint) forget();
      if (patch.welcome && !(first && conversation)) {
        log.innerHTML = patch.welcome;
        scroller.scrollTop = 0;
        deskmate.chats.talk(null);
      }
      if (patch.log) showLog(patch.log);
      if (patch.conversation !== undefined && !first) {
        become(patch.conversation);
        deskmate.chats.refresh();
      }
      if (patch.talk) deskmate.chats.talk(patch.talk);
      if (patch.heard) deskmate.chats.listen();
      if (patch.start) start = patch.start;
      first = false;
      if (patch.turn) showTurn(patch);
      if (!soon) greet(true);
      body.toggle("dm-busy", Boolean(patch.busy));
      if (!patch.busy) body.remove("dm-stops");
      if (patch.hint !== undefined) showHint(patch.hint);
      if (patch.edit !== undefined) showEditing(patch.edit);
      if (patch.edit) question()?.focus();
      if (patch.say && status.textContent !== patch.say) status.textContent = patch.say;
    }

    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { ref, ask, copy, do: action } = button.dataset;
      if (ref) source.open(button);
      else if (ask) submit(ask);
      else if (copy) take(button, copy);
      else if (action === "retry") trigger("submit", { again: true, conversation });
      else if (action === "edit") trigger("edit", { conversation });
      else if (action === "talk") deskmate.chats.handOver(button);
      if (ask || action === "retry") toQuestion();
    });

    function submit(text, typed = false) {
      expect(text);
      trigger("submit", { question: text, conversation, typed });
    }

    document.addEventListener(
      "keydown",
      (event) => {
        if (event.target !== question() || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        event.stopPropagation(); // Gradio's box has an Enter of its own
        submit(event.target.value, true);
      },
      true,
    );
    document.addEventListener("click", (event) => {
      if (event.target.closest("#dm-send")) {
        submit(question().value, true);
        toQuestion();
      }
      if (event.target.closest("#dm-stop")) {
        document.body.classList.add("dm-stops");
        toQuestion();
      }
    });
    watch("value", apply);
    apply();
    deskmate.log = { said: showSaid, ended: showEnded };
    if (conversation) trigger("expand", { conversation });
    ready();
  }

  // How the server stands to this page: there, or slow; moved on, by a restart or without us; or gone.
  let start = "";

  async function here() {
    try {
      const reply = await fetch("/chats/here", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (reply.status === 401) return "moved";
      const told = await reply.json();
      const moved = Boolean(start) && told.start !== start;
      start = told.start;
      person = told.person;
      for (const who of all(".dm-who")) fill(who, told.person); // in the bar, on a phone in the list; escaped by app.web.frame
      return moved ? "moved" : "there";
    } catch (error) {
      return error.name === "TimeoutError" ? "slow" : "gone";
    }
  }

  async function take(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page that was not opened by https or from this machine may not use the clipboard interface.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1600);
  }

  function ready() {
    const box = question();
    if (!box) return void setTimeout(ready, 30);
    box.setAttribute("aria-label", "Your question");
    box.setAttribute("aria-keyshortcuts", "/");
    here().then(() => takeDraft(box));
    document.body.classList.add("dm-ready");
    one("#dm-splash")?.remove();
    toQuestion();
  }

  /* The source panel. What it shows lies in the turn already, in <template> elements. */

  const source = (() => {
    let aside = null;
    let opener = null;
    let open = null; // the template that is shown

    const siblings = () => all(`template[data-ref^="${open.dataset.ref[0]}"]`, open.closest(".dm-turn"));

    function show(template) {
      open = template;
      const { title, trail, place, n, ref, whole } = template.dataset;
      const list = siblings();
      const kind = ref[0] === "c" ? "Source" : "Passage";
      one("#dm-source-count").textContent =
        list.length > 1 ? `${kind} ${n} · ${list.indexOf(template) + 1} of ${list.length}` : `${kind} ${n}`;
      one("#dm-source-title").textContent = title;
      one("#dm-source-trail").textContent = trail;
      one("#dm-source-place").textContent = place;
      one('[data-panel="whole"]', aside).hidden = !whole;
      for (const way of ["previous", "next"]) one(`[data-panel="${way}"]`, aside).hidden = list.length < 2;
      write(template.content.cloneNode(true));
      aside.hidden = false;
      document.body.classList.add("dm-reads");
      reveal();
      all(".dm-open").forEach((button) => button.classList.remove("dm-open"));
      all(`[data-ref="${ref}"]`, template.closest(".dm-turn")).forEach((b) => b.classList.add("dm-open"));
    }

    function write(content) {
      one("#dm-source-text").replaceChildren(content);
    }

    function reveal() {
      const text = one("#dm-source-text");
      const hit = one(".dm-hit", text);
      text.scrollTop = hit
        ? hit.getBoundingClientRect().top - text.getBoundingClientRect().top + text.scrollTop - text.clientHeight / 3
        : 0;
    }

    // A turn of a kept conversation has none of them yet.
    async function templates(turn) {
      if (!turn.dataset.exchange || one("template", turn)) return;
      const reply = await fetch(`/chats/sources/${turn.dataset.exchange}`);
      if (!reply.ok) return;
      const parts = await reply.json();
      for (const part of ["refs", "cites"]) fill(one(`.dm-${part}`, turn), parts[part]);
    }

    async function openBy(button) {
      const turn = button.closest(".dm-turn");
      if (!turn || !aside) return;
      await templates(turn);
      const template = one(`template[data-ref="${button.dataset.ref}"]`, turn);
      if (!template) return;
      opener = button;
      aside.setAttribute("role", narrow.matches ? "dialog" : "complementary");
      aside.toggleAttribute("aria-modal", narrow.matches);
      show(template);
      one("#dm-source-title").focus({ preventScroll: true });
    }

    function close() {
      if (!aside || aside.hidden) return;
      aside.hidden = true;
      document.body.classList.remove("dm-reads");
      all(".dm-open").forEach((button) => button.classList.remove("dm-open"));
      // Finishing an answer draws its citations anew: the one that opened the panel may be another element now.
      const back = opener?.isConnected ? opener : open && one(`button[data-ref="${open.dataset.ref}"]`, open.closest(".dm-turn") || document);
      (back || question())?.focus({ preventScroll: true });
      opener = open = null;
    }

    function step(by) {
      const list = siblings();
      const at = list.indexOf(open);
      if (list.length) show(list[(at + by + list.length) % list.length]);
    }

    async function whole(button) {
      const { doc, start, end } = open.dataset;
      const asked = open;
      button.disabled = true;
      try {
        const reply = await fetch(`/chats/document?${new URLSearchParams({ doc, start, end })}`);
        if (open !== asked || !reply.ok) return;
        const next = document.createElement("template");
        next.innerHTML = await reply.text(); // rendered and escaped by app.web.markup, like everything here
        write(next.content);
        button.hidden = true;
        reveal();
      } finally {
        button.disabled = false;
      }
    }

    function mount(element) {
      aside = one("#dm-source", element);
      aside.addEventListener("click", (event) => {
        const button = event.target.closest("[data-panel]");
        if (!button) return;
        const action = button.dataset.panel;
        if (action === "close") close();
        else if (action === "whole") whole(button);
        else step(action === "next" ? 1 : -1);
      });
      document.addEventListener("click", (event) => {
        if (event.target.id === "dm-side") close(); // the dimmed page beside a drawer
      });
      aside.addEventListener("keydown", (event) => {
        if (event.key === "ArrowLeft" && event.altKey) step(-1);
        else if (event.key === "ArrowRight" && event.altKey) step(1);
        else if (event.key === "Tab" && narrow.matches) keepInside(event);
      });
    }

    // A drawer covers the page, so Tab goes round inside it.
    function keepInside(event) {
      const stops = all('button:not([hidden]):not(:disabled), [tabindex="0"]', aside);
      const first = stops[0];
      const last = stops[stops.length - 1];
      if (event.shiftKey && (document.activeElement === first || document.activeElement.id === "dm-source-title")) {
        event.preventDefault();
        last.focus();
      } else if (!event.shiftKey && document.activeElement === last) {
        event.preventDefault();
        first.focus();
      }
    }

    return { mount, open: openBy, close };
  })();

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("dm-reads")) {
      event.preventDefault();
      source.close();
    }
    const typing = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      source.close();
      question()?.focus();
    }
  });

  return {
    modes: {}, bar, lines, note, transcript, panel: source.mount, past: (element) => deskmate.chats.mount(element),
    one, all, on, narrow, question, clocks, open, fresh, become, current: () => conversation,
  }; // prettier-ignore
})();
