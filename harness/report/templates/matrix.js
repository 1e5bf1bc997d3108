// Optional: without it every cell is a link to its details; with it arrow keys move in the grid.
(function () {
  "use strict";
  var map = document.querySelector("table.map");
  if (!map) { return; }
  var heads = Array.prototype.slice.call(map.querySelectorAll("thead th"));
  var rows = Array.prototype.map.call(map.tBodies[0].rows, function (row) {
    return Array.prototype.slice.call(row.querySelectorAll("td a"));
  });
  var at = { row: 0, column: 0 };
  var cell = function () { return rows[at.row][at.column]; };
  rows.forEach(function (row) { row.forEach(function (each) { each.tabIndex = -1; }); });
  cell().tabIndex = 0;

  var put = function (row, column) {
    cell().tabIndex = -1;
    heads[at.column + 1].classList.remove("here");
    at.row = Math.max(0, Math.min(rows.length - 1, row));
    at.column = Math.max(0, Math.min(rows[0].length - 1, column));
    cell().tabIndex = 0;
    heads[at.column + 1].classList.add("here");
  };
  var find = function (link) {
    for (var row = 0; row < rows.length; row += 1) {
      var column = rows[row].indexOf(link);
      if (column >= 0) { return { row: row, column: column }; }
    }
    return null;
  };
  // Scroll cells out from under the sticky headers.
  var uncover = function () {
    var frame = map.parentElement.getBoundingClientRect(), box = cell().getBoundingClientRect();
    var corner = heads[0].getBoundingClientRect();
    var left = box.left - frame.left - corner.width, top = box.top - frame.top - corner.height;
    if (left < 0) { map.parentElement.scrollLeft += left - 4; }
    if (top < 0) { map.parentElement.scrollTop += top - 4; }
  };

  map.addEventListener("focusin", function (event) {
    var found = find(event.target);
    if (found) { put(found.row, found.column); uncover(); }
  });
  map.addEventListener("keydown", function (event) {
    if (event.altKey || event.metaKey || !find(event.target)) { return; }
    var last = rows[0].length - 1;
    var moves = {
      ArrowUp: [at.row - 1, at.column], ArrowDown: [at.row + 1, at.column],
      ArrowLeft: [at.row, at.column - 1], ArrowRight: [at.row, at.column + 1],
      Home: [event.ctrlKey ? 0 : at.row, 0], End: [event.ctrlKey ? rows.length - 1 : at.row, last]
    };
    if (moves[event.key]) {
      put(moves[event.key][0], moves[event.key][1]);
      cell().focus();
    } else if (event.key === " ") {
      cell().click();
    } else {
      return;
    }
    event.preventDefault();
  });

  // The page address names the open pair.
  var opened = function () {
    var named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    return named && named.classList.contains("pair") ? named : null;
  };
  var show = function () {
    map.querySelectorAll("td.open").forEach(function (each) { each.classList.remove("open"); });
    var pair = opened();
    if (!pair) { return; }
    var wanted = 'td a[href="#' + pair.id + '"]';
    var link = cell().matches(wanted) ? cell() : map.querySelector(wanted), found = find(link);
    if (found) { put(found.row, found.column); link.parentElement.classList.add("open"); }
    if (pair.id === "nothing") { pair.querySelector("h3").textContent = link.getAttribute("aria-label"); }
    pair.focus({ preventScroll: true });
  };
  var close = function () {
    if (!opened()) { return; }
    location.hash = "map";
    cell().focus();
  };
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { close(); }
  });
  document.addEventListener("click", function (event) {
    if (event.target.classList.contains("close")) { event.preventDefault(); close(); }
  });
  show();
})();
