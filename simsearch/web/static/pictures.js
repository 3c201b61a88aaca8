// Files that are asked about: read, and made smaller by their pixels and their bytes before they are sent.

const MOST_BYTES = 1_000_000; // a larger file is made smaller
const SENT_SIDE = 1024; // and so is a picture with a longer side: more than any network looks at
const OPAQUE = "image/jpeg";
const TRANSPARENT = ["image/png", "image/webp"]; // JPEG has no transparency: what is not there would turn black

// What is sent for a file, and the picture to show for it; null where the browser cannot read it.
export async function readImage(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  const read = { body: file, picture, name: file.name || "the picture" };
  if (!picture) return read;
  let side = Math.max(picture.width, picture.height);
  if (side <= SENT_SIDE && file.size <= MOST_BYTES) return read;
  do {
    side = Math.min(side, SENT_SIDE);
    read.body = await encode(scaled(picture, side), file.type === OPAQUE);
    side /= 2;
  } while (read.body.size > MOST_BYTES);
  return read;
}

function scaled(picture, side) {
  const scale = side / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width, picture.height].map((length) => Math.max(1, Math.round(length * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return canvas;
}

async function encode(canvas, isOpaque) {
  const types = isOpaque || !isTransparent(canvas) ? [OPAQUE] : TRANSPARENT;
  let blob;
  for (const type of types) {
    blob = await canvas.convertToBlob({ type, quality: 0.92 });
    if (blob.size <= MOST_BYTES) break;
  }
  return blob;
}

function isTransparent(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return true;
  return false;
}
