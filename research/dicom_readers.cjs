// What dcmjs (OHIF's parser) reads of SEG and RTSTRUCT, and a SEG that it writes; called by research.dicom_readers.
"use strict";
const fs = require("fs");
const path = require("path");
const dcmjs = require("dcmjs");
const { BitArray, DicomMessage, DicomMetaDictionary, datasetToBuffer } = dcmjs.data;

function opened(file) {
  const bytes = fs.readFileSync(file);
  const read = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const dataset = DicomMetaDictionary.naturalizeDataset(read.dict);
  dataset._meta = DicomMetaDictionary.namifyDataset(read.meta);
  dataset.syntax = read.meta["00020010"].Value[0];
  return dataset;
}

const listed = (value) => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

function describe(file) {
  const dataset = opened(file);
  if (dataset.Modality === "RTSTRUCT") {
    const regions = listed(dataset.ROIContourSequence);
    const contours = regions.map((r) => listed(r.ContourSequence).map((c) => listed(c.ContourData).map(Number)));
    return { regions: contours };
  }
  const frames = listed(dataset.PerFrameFunctionalGroupsSequence).map((frame) => ({
    segment: Number(listed(frame.SegmentIdentificationSequence)[0]?.ReferencedSegmentNumber ?? 0),
    position: listed(listed(frame.PlanePositionSequence)[0].ImagePositionPatient).map(Number),
  }));
  const fragments = listed(dataset.PixelData);
  let samples = new Uint8Array(fragments[0]);
  if (Number(dataset.BitsAllocated) === 1) samples = BitArray.unpack(fragments[0]);
  return { frames, fragments: fragments.length, samples: Buffer.from(samples).toString("base64") };
}

function write(folder, masks, out) {
  const slices = fs.readdirSync(folder).sort().map((name) => opened(path.join(folder, name)));
  const whole = dcmjs.normalizers.Normalizer.normalizeToDataset(slices);
  const seg = new dcmjs.derivations.Segmentation([whole], { includeSliceSpacing: true });
  // dcmjs sorts the slices itself, and counts frames in its own order.
  const places = listed(whole.PerFrameFunctionalGroupsSequence).map((f) => Number(f.PlanePositionSequence.ImagePositionPatient[2]));
  const order = places.map((_, k) => [...places].sort((a, b) => a - b).indexOf(places[k]));
  const size = Number(whole.Rows) * Number(whole.Columns);
  const bytes = fs.readFileSync(masks);
  const count = places.length;
  const part = (s, z) => bytes.subarray((s * count + z) * size, (s * count + z + 1) * size);
  const used = [];
  for (let s = 0; s * size * count < bytes.length; s++) {
    used.push(order.map((z, frame) => ({ z, frame: frame + 1 })).filter(({ z }) => part(s, z).some((v) => v)));
  }
  seg.setNumberOfFrames(used.flat().length);
  const code = { CodeValue: "85756007", CodingSchemeDesignator: "SCT", CodeMeaning: "Tissue" };
  used.forEach((frames, s) => {
    const pixels = Uint8Array.from(frames.flatMap(({ z }) => [...part(s, z)]));
    const facts = { SegmentLabel: `segment ${s + 1}`, SegmentAlgorithmType: "MANUAL", RecommendedDisplayCIELabValue: [1, 2, 3] };
    const codes = { SegmentedPropertyCategoryCodeSequence: code, SegmentedPropertyTypeCodeSequence: code };
    seg.addSegment({ ...facts, ...codes }, pixels, frames.map(({ frame }) => frame));
  });
  seg.bitPackPixelData();
  fs.writeFileSync(out, Buffer.from(datasetToBuffer(seg.dataset)));
}

const [task, ...rest] = process.argv.slice(2);
if (task === "write") write(...rest);
else process.stdout.write(JSON.stringify(describe(rest[0])));
