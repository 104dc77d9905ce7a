// What htmx does not do by itself: dropping files, showing errors, choosing, copying, painting.
(function () {
  "use strict";

  const token = JSON.parse(document.body.getAttribute("hx-headers"));

  // --- errors ---------------------------------------------------------------------------------
  const message = document.getElementById("message");
  let hiding = 0;

  function say(text) {
    message.textContent = text;
    message.hidden = false;
    clearTimeout(hiding);
    hiding = setTimeout(() => { message.hidden = true; }, 12000);
  }

  document.body.addEventListener("htmx:responseError", (event) => say(event.detail.xhr.responseText));
  document.body.addEventListener("htmx:sendError", () => say("The server does not answer; is it still running?"));

  // --- dropping files -------------------------------------------------------------------------
  async function send(input) {
    const form = new FormData();
    for (const file of input.files) form.append(input.dataset.field, file, file.name);
    input.value = "";
    input.closest(".drop").setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(input.dataset.post, { method: "POST", body: form, headers: token });
      const text = await answer.text();
      if (!answer.ok) { say(text); return; }
      const target = document.querySelector(input.dataset.target);
      if ("adds" in input.dataset) target.insertAdjacentHTML("beforeend", text); else target.innerHTML = text;
      htmx.process(target);
      prepare(target);
      input.dispatchEvent(new Event("change", { bubbles: true }));
    } catch {
      say("The server does not answer; is it still running?");
    } finally {
      input.closest(".drop").removeAttribute("aria-busy");
    }
  }

  function droppable(area) {
    const input = document.getElementById(area.dataset.drop);
    for (const name of ["dragenter", "dragover"]) {
      area.addEventListener(name, (event) => { event.preventDefault(); area.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) {
      area.addEventListener(name, () => area.classList.remove("over"));
    }
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      input.files = event.dataTransfer.files;
      send(input);
    });
    input.addEventListener("change", (event) => {
      if (!input.files.length) return;
      event.stopPropagation();
      send(input);
    });
  }

  // --- cropping: the point that is to lie in the middle ------------------------------------------
  function aspect() {
    const grid = document.querySelector("[name=grid]");
    const by = document.querySelector("[name=size_by]:checked");
    const parts = by && by.value === "grid" && grid && /^(\d+)x(\d+)$/.exec(grid.value.trim());
    return parts ? Number(parts[2]) / Number(parts[1]) : null;
  }

  function croppable(box) {
    const shown = box.querySelector(".window");
    const field = box.parentElement.querySelector("[name=crop]");
    let at = [0.5, 0.5];
    function frame() {
      const wanted = aspect(), own = box.dataset.width / box.dataset.height;
      const wide = wanted === null ? 1 : Math.min(1, wanted / own);
      const high = wanted === null ? 1 : Math.min(1, own / wanted);
      const left = Math.min(Math.max(at[0] - wide / 2, 0), 1 - wide);
      const top = Math.min(Math.max(at[1] - high / 2, 0), 1 - high);
      Object.assign(shown.style, {
        left: 100 * left + "%", top: 100 * top + "%", width: 100 * wide + "%", height: 100 * high + "%",
      });
    }
    box.addEventListener("click", (event) => {
      const area = box.getBoundingClientRect();
      at = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
      field.value = at.map((share) => share.toFixed(3)).join(",");
      frame();
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    document.addEventListener("change", frame);
    frame();
  }

  // --- painting a mask ---------------------------------------------------------------------------
  function paint(button) {
    const dialog = document.createElement("dialog");
    dialog.innerHTML =
      '<article><h2>What is the subject?</h2><p><small>Paint it white; hold Shift to take away.</small></p>' +
      '<canvas width="360" height="360" aria-label="The photo with its mask"></canvas>' +
      '<label>Brush <input type="range" min="4" max="60" value="24"></label>' +
      '<footer class="row"><button class="secondary" value="no">Cancel</button><button value="yes">Keep</button></footer></article>';
    document.body.append(dialog);
    const canvas = dialog.querySelector("canvas"), brush = dialog.querySelector("input");
    const mask = document.createElement("canvas"), photo = new Image(), old = new Image();
    const pen = mask.getContext("2d");
    function draw() {
      const view = canvas.getContext("2d");
      view.drawImage(photo, 0, 0, canvas.width, canvas.height);
      view.globalAlpha = 0.55;
      view.drawImage(mask, 0, 0);
      view.globalAlpha = 1;
    }
    photo.onload = () => {
      for (const one of [canvas, mask]) { one.width = photo.naturalWidth; one.height = photo.naturalHeight; }
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, mask.width, mask.height);
      if (button.dataset.mask) { old.onload = () => { pen.drawImage(old, 0, 0, mask.width, mask.height); draw(); }; old.src = button.dataset.mask; }
      draw();
    };
    photo.src = button.dataset.photo;
    function touch(event) {
      if (!event.buttons) return;
      const area = canvas.getBoundingClientRect(), scale = canvas.width / area.width;
      pen.fillStyle = event.shiftKey ? "#000" : "#fff";
      pen.beginPath();
      pen.arc((event.clientX - area.left) * scale, (event.clientY - area.top) * scale, brush.value * scale / 2, 0, 7);
      pen.fill();
      draw();
    }
    canvas.addEventListener("pointerdown", touch);
    canvas.addEventListener("pointermove", touch);
    dialog.addEventListener("click", (event) => {
      if (event.target.value === "no") dialog.close();
      if (event.target.value === "yes") mask.toBlob(async (blob) => {
        const form = new FormData();
        form.append("mask", blob, "mask.png");
        const answer = await fetch(button.dataset.paint, { method: "POST", body: form, headers: token });
        const text = await answer.text();
        if (!answer.ok) { say(text); return; }
        const target = document.getElementById("photos");
        target.innerHTML = text;
        htmx.process(target);
        dialog.close();
      });
    });
    dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
    dialog.showModal();
  }

  // --- everything else by delegation ------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const [copy, brush, gone] = ["copy", "paint", "removes"].map((name) => event.target.closest(`[data-${name}]`));
    if (brush) paint(brush);
    if (gone) {
      const form = gone.form;
      gone.closest(".kept").remove();
      form.dispatchEvent(new Event("change", { bubbles: true }));
    }
    if (!copy) return;
    const code = copy.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
  });

  document.addEventListener("change", (event) => {
    const { shows, disables } = event.target.dataset;
    if (shows) {
      for (const part of document.querySelectorAll(`[data-choice=${event.target.name}]`)) part.hidden = part.id !== shows;
    }
    if (disables) document.getElementById(disables).disabled = event.target.checked;
  }, true);

  function prepare(root) {
    root.querySelectorAll("[data-drop]").forEach(droppable);
    root.querySelectorAll("[data-crop]").forEach(croppable);
  }
  prepare(document);
})();
