// What the page calls things: its words depend on what a gallery holds and on how its pictures are prepared.

// How to speak of what is asked about: a digit only where the classes are digits, and nothing to draw where
// the network sees photographs.
export function subjectOf(index) {
  const isDrawn = /^(digits?|mnist|auto)?$/.test(index.preparation ?? "");
  const areDigits = index.classes.length > 0 && index.classes.every((name) => /^\d$/.test(name));
  if (!isDrawn) return { isDrawn, noun: "picture", title: "Choose a picture", slogan: "choose a picture, see its neighbors" };
  if (areDigits) return { isDrawn, noun: "digit", title: "Draw a digit", slogan: "draw a digit, see its neighbors" };
  return { isDrawn, noun: "drawing", title: "Draw something", slogan: "draw something, see its neighbors" };
}

// What an answer says in one word, why, and whether it knows the class at all. Where classes are ranked and
// the gallery is calibrated the probability is that of the class; one that is not calibrated is not said.
export function judge(answer) {
  const [best] = answer.classes;
  if (!best) return judgeUnlabeled(answer.hits[0]);
  const { verdict } = answer;
  if (verdict && !verdict.known) {
    const reason = `not like the images of this gallery; the nearest class would be ${best.label}`;
    return { text: "Unknown", kind: "unknown", reason, label: null, spoken: `Unknown: ${reason}.` };
  }
  const chance = verdict?.probability ?? best.posterior;
  const said = chance == null ? `the nearest class: its best image scores ${best.best.toFixed(3)}` : `probability ${percent(chance)}`;
  const reason = answer.approximate ? `${said}, by an approximate index` : said;
  return { text: best.label, kind: "", reason, label: best.label, spoken: `Most like class ${best.label}, ${reason}.` };
}

function judgeUnlabeled(hit) {
  const reason = `the most similar image, score ${hit.score.toFixed(3)}; 1 would be the same to the network`;
  return { text: `item ${hit.id}`, kind: "", reason, label: null, spoken: `Item ${hit.id} is ${reason}.` };
}

export function countSame(hits, reference) {
  if (reference === null) return "";
  const same = hits.filter((hit) => hit.label === reference).length;
  return `${same} of the ${hits.length} nearest images are of class ${reference}`;
}

// As the command line prints it.
export function percent(probability) {
  return `${(Math.floor(1000 * probability) / 10).toFixed(1)}\u00a0%`; // never rounded up to certainty
}

export function count(number) {
  return number.toLocaleString("en");
}
