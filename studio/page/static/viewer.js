// The mosaic as a deep zoom whose pieces the server makes of its tiles.
(function () {
  "use strict";

  const box = document.getElementById("viewer");
  const { zoom, tiles, reference } = box.dataset;
  const [rows, cols, side, levels] = ["rows", "cols", "side", "levels"].map((name) => Number(box.dataset[name]));
  let version = document.querySelector("[data-version]").dataset.version, chosen = null, under = null;

  function source() {
    return {
      width: cols * side, height: rows * side, tileSize: side, minLevel: 0, maxLevel: levels - 1,
      getTileUrl: (level, x, y) => `${zoom}/${level}/${x}_${y}.jpg?v=${version}`,
    };
  }

  const viewer = OpenSeadragon({
    element: box, drawer: "canvas", showNavigationControl: false, maxZoomPixelRatio: 4, visibilityRatio: 0.4,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    tileSources: [source()],
  });
  window.smaltiViewer = viewer;

  const fade = document.getElementById("fade");
  function faded() { if (under) under.setOpacity(fade.value / 100); }
  fade.addEventListener("input", () => {
    if (under) { faded(); return; }
    viewer.addTiledImage({
      tileSource: { type: "image", url: reference, buildPyramid: false }, x: 0, y: 0, width: 1,
      opacity: fade.value / 100, success: (event) => { under = event.item; faded(); },
    });
  });

  // Pieces under new addresses, once those that are asked for have come.
  let waits = false;
  function renew() {
    waits = false;
    const shown = viewer.world.getItemAt(0);
    if (shown && !shown.getFullyLoaded()) {
      waits = true;
      shown.addOnceHandler("fully-loaded-change", renew);
    } else {
      viewer.addTiledImage({ tileSource: source(), index: 0, replace: true });
    }
  }

  // A tile was drawn: the pieces have new addresses.
  document.body.addEventListener("htmx:afterSwap", () => {
    const now = document.querySelector("[data-version]").dataset.version;
    if (now === version) return;
    version = now;
    if (!waits) renew();
    if (chosen) show(chosen.row, chosen.col);
  });

  function show(row, col) {
    if (chosen) viewer.removeOverlay(chosen.frame);
    const frame = document.createElement("div");
    frame.className = "chosen";
    viewer.addOverlay({ element: frame, location: new OpenSeadragon.Rect(col / cols, row / cols, 1 / cols, 1 / cols) });
    chosen = { frame, row, col };
    htmx.ajax("GET", `${tiles}/${row},${col}`, { target: "#tile" });
  }

  viewer.addHandler("canvas-click", (event) => {
    if (!event.quick) return;
    const point = viewer.viewport.pointFromPixel(event.position);
    const row = Math.floor(point.y * cols), col = Math.floor(point.x * cols);
    if (row >= 0 && col >= 0 && row < rows && col < cols) show(row, col);
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-tile]")) return;
    event.preventDefault();
    show(Number(event.target.row.value), Number(event.target.col.value));
  });

  document.addEventListener("click", (event) => {
    const by = event.target.dataset.zoomBy;
    if (by === undefined) return;
    if (Number(by)) viewer.viewport.zoomBy(Number(by)); else viewer.viewport.goHome();
  });
})();
