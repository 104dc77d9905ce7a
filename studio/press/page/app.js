// The mosaic as a deep zoom; SMALTI (data.js) holds what is known of it, as this page opens from a
// disk, where nothing can be fetched.
(function () {
  "use strict";

  const mosaic = window.SMALTI;
  const at = (id) => document.getElementById(id);
  let chosen = null;

  const viewer = OpenSeadragon({
    id: "viewer",
    drawer: "canvas",
    showNavigationControl: false,
    maxZoomPixelRatio: 6,
    minZoomImageRatio: 0.7,
    visibilityRatio: 0.4,
    animationTime: 0.9,
    crossOriginPolicy: false,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    tileSources: {
      Image: {
        xmlns: "http://schemas.microsoft.com/deepzoom/2008",
        Url: "mosaic_files/",
        Format: "jpg",
        Overlap: String(mosaic.overlap),
        TileSize: String(mosaic.piece),
        Size: { Width: String(mosaic.width), Height: String(mosaic.height) },
      },
    },
  });
  window.smaltiViewer = viewer;

  viewer.addHandler("open", function () {
    viewer.addTiledImage({
      tileSource: { type: "image", url: "reference.jpg", buildPyramid: false },
      x: 0,
      y: 0,
      width: 1,
      opacity: at("fade").value / 100,
      success: (event) => { viewer.smaltiReference = event.item; fade(); },
    });
  });

  function fade() {
    if (viewer.smaltiReference) viewer.smaltiReference.setOpacity(at("fade").value / 100);
  }

  // A tile's place on the page, whose width is 1.
  function place(row, col) {
    const side = 1 / mosaic.cols;
    return new OpenSeadragon.Rect(col * side, row * side, side, side);
  }

  function show(row, col) {
    const [subject, prompt, seed] = mosaic.tiles[row * mosaic.cols + col];
    const next = mosaic.command
      .replace("{tile}", row + "," + col)
      .replace("{seed}", Number.isInteger(seed) ? seed + 1 : 1);
    at("where").textContent = "Row " + (row + 1) + ", column " + (col + 1);
    at("subject").textContent = mosaic.subjects[subject] || "–";
    at("prompt").textContent = mosaic.prompts[prompt] || "–";
    at("seed").textContent = seed === null ? "–" : seed;
    at("command").textContent = next;
    at("copy").textContent = "Copy";
    at("tile").hidden = false;
    mark(row, col);
  }

  function mark(row, col) {
    hide();
    const frame = document.createElement("div");
    frame.className = "chosen";
    viewer.addOverlay({ element: frame, location: place(row, col) });
    chosen = { frame, row, col };
  }

  function hide() {
    if (chosen) viewer.removeOverlay(chosen.frame);
    chosen = null;
  }

  function close() {
    hide();
    at("tile").hidden = true;
  }

  viewer.addHandler("canvas-click", function (event) {
    if (!event.quick) return;
    const point = viewer.viewport.pointFromPixel(event.position);
    const row = Math.floor(point.y * mosaic.cols);
    const col = Math.floor(point.x * mosaic.cols);
    if (row < 0 || col < 0 || row >= mosaic.rows || col >= mosaic.cols) close();
    else show(row, col);
  });

  // Letters without accents and case, so that "jose" finds José.
  function plain(text) {
    return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  }

  function find() {
    const wanted = plain(at("who").value.trim());
    const hits = wanted ? mosaic.photos.filter((one) => plain(one[0] + " " + one[1]).includes(wanted)) : [];
    at("found").replaceChildren(...hits.slice(0, 50).map(entry));
    at("count").textContent = !wanted ? "" : hits.length > 50 ? hits.length + " found, 50 shown"
      : hits.length ? "" : "No photo of that name";
  }

  function entry([name, file, row, col]) {
    const item = document.createElement("li"), button = document.createElement("button");
    const where = document.createElement("span");
    button.append(name, where);  // as text: names are whatever people write
    button.title = file;
    where.textContent = "row " + (row + 1) + ", column " + (col + 1);
    button.addEventListener("click", function () {
      at("who").value = name;
      at("found").replaceChildren();
      at("count").textContent = where.textContent;
      close();
      mark(row, col);
      viewer.viewport.fitBoundsWithConstraints(around(row, col));
    });
    item.append(button);
    return item;
  }

  // A tile with its neighbours, so that one sees where one is.
  function around(row, col) {
    const { x, y, width } = place(row, col);
    return new OpenSeadragon.Rect(x - width, y - width, 3 * width, 3 * width);
  }

  // Arrow keys walk from the box through the list; Enter takes the first.
  function walk(event) {
    const stops = [at("who"), ...at("found").querySelectorAll("button")];
    const next = stops.indexOf(document.activeElement) + { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && event.target === at("who") && stops[1]) stops[1].click();
    else if (stops[next]) stops[next].focus();
    else return;
    event.preventDefault();
  }

  at("find").hidden = !mosaic.photos.length;
  at("who").addEventListener("input", find);
  at("find").addEventListener("keydown", walk);
  at("fade").addEventListener("input", fade);
  at("close").addEventListener("click", close);
  at("in").addEventListener("click", () => viewer.viewport.zoomBy(1.8));
  at("out").addEventListener("click", () => viewer.viewport.zoomBy(1 / 1.8));
  at("home").addEventListener("click", () => viewer.viewport.goHome());
  at("near").addEventListener("click", function () {
    if (chosen) viewer.viewport.fitBoundsWithConstraints(place(chosen.row, chosen.col));
  });
  at("copy").addEventListener("click", async function () {
    try {
      await navigator.clipboard.writeText(at("command").textContent);
      at("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(at("command"));
      at("copy").textContent = "Selected";
    }
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

  document.title = mosaic.name;
  at("name").textContent = mosaic.name;
  at("size").textContent =
    mosaic.rows + " × " + mosaic.cols + " tiles, " + mosaic.width + " × " + mosaic.height + " px";
})();
