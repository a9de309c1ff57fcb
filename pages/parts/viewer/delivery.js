// A component that shows nothing: it gives the planes that it gets to the viewer.

export default function ({ data }) {
  if (!data) return;
  const { header, parts } = readFrame(data);
  deliverPlanes(header.id, parts);
}
