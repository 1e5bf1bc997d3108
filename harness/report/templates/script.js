// Optional: adds the filter, and opens folded parts that a link points to.
(function () {
  "use strict";
  var form = document.querySelector("form.filter");
  if (form) {
    var rows = Array.prototype.slice.call(document.querySelectorAll("table.results tbody tr"));
    var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
    var apply = function () {
      var verdicts = {};
      form.querySelectorAll("input[name=verdict]").forEach(function (box) { verdicts[box.value] = box.checked; });
      var area = form.elements.area.value;
      var words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      var shown = 0;
      rows.forEach(function (row, index) {
        var fits = verdicts[row.dataset.verdict] && (!area || row.dataset.area === area) &&
          words.every(function (word) { return texts[index].indexOf(word) >= 0; });
        row.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      form.querySelector(".shown").textContent = shown + " of " + rows.length + " results";
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    apply();
  }
  var reveal = function () {
    var target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) { return; }
    for (var node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") { node.open = true; }
    }
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  if (location.hash) { reveal(); }
})();
