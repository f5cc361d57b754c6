/**
 * A line chart as SVG text, for figures over time: no library, since all it takes is a scale and a path.
 * Series share the x axis (seconds); each has its own colour and its last value in the legend.
 */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

export interface ChartOptions {
  readonly title: string;
  /** What the values are, with their unit. */
  readonly unit: string;
  /** What happened when: a vertical line with its name. */
  readonly marks?: readonly { readonly name: string; readonly seconds: number }[];
  /** @default 820 */
  readonly width?: number;
  /** @default 360 */
  readonly height?: number;
}

const colours = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b', '#17becf'];
const margin = { left: 64, right: 16, top: 40, bottom: 56 };

export function lineChart(series: readonly Series[], options: ChartOptions): string {
  const { width = 820, height = 360 } = options;
  const all = series.flatMap((one) => one.points);
  const maxX = niceCeiling(Math.max(1, ...all.map(([x]) => x)));
  const maxY = niceCeiling(Math.max(1e-9, ...all.map(([, y]) => y)));
  const x = (value: number) => margin.left + (value / maxX) * (width - margin.left - margin.right);
  const y = (value: number) =>
    height - margin.bottom - (value / maxY) * (height - margin.top - margin.bottom);
  const lines = series.map((one, index) => {
    const path = one.points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ');
    return `<polyline fill="none" stroke="${colours[index % colours.length]}" stroke-width="1.8" points="${path}"/>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${margin.left}" y="22" font-size="15" font-weight="600">${escapeXml(options.title)}</text>`,
    ...gridOf(maxX, maxY, x, y, width, height, options.unit),
    ...marksOf(options.marks ?? [], x, height),
    ...lines,
    ...legendOf(series, height),
    '</svg>',
    '',
  ].join('\n');
}

function gridOf(
  maxX: number,
  maxY: number,
  x: (value: number) => number,
  y: (value: number) => number,
  width: number,
  height: number,
  unit: string,
): string[] {
  const steps = [0, 1, 2, 3, 4, 5];
  return [
    ...steps.map((step) => {
      const value = (maxY * step) / 5;
      return `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/><text x="${margin.left - 8}" y="${y(value) + 4}" text-anchor="end">${short(value)}</text>`;
    }),
    ...steps.map((step) => {
      const value = (maxX * step) / 5;
      return `<text x="${x(value)}" y="${height - margin.bottom + 18}" text-anchor="middle">${short(value)} s</text>`;
    }),
    `<text x="12" y="${margin.top - 8}" fill="#555">${escapeXml(unit)}</text>`,
  ];
}

function marksOf(
  marks: NonNullable<ChartOptions['marks']>,
  x: (value: number) => number,
  height: number,
): string[] {
  return marks.map(({ name, seconds }, index) => {
    const at = x(seconds).toFixed(1);
    const top = margin.top + 10 + (index % 3) * 12; // neighbours do not write over each other
    return `<line x1="${at}" x2="${at}" y1="${margin.top}" y2="${height - margin.bottom}" stroke="#999" stroke-dasharray="3 3"/><text x="${at}" y="${top}" dx="3" font-size="10" fill="#777">${escapeXml(name)}</text>`;
  });
}

function legendOf(series: readonly Series[], height: number): string[] {
  let left = margin.left;
  return series.map((one, index) => {
    const label = `${one.name} ${short(one.points.at(-1)?.[1] ?? 0)}`;
    const text = `<rect x="${left}" y="${height - 20}" width="12" height="4" fill="${colours[index % colours.length]}"/><text x="${left + 18}" y="${height - 14}">${escapeXml(label)}</text>`;
    left += 40 + label.length * 7;
    return text;
  });
}

/** The next of 1, 2, 5 times a power of ten. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= value) ?? value;
}

const short = (value: number): string =>
  value >= 1000 ? `${+(value / 1000).toPrecision(3)}k` : `${+value.toPrecision(3)}`;

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** Charts of one size, one below the other, as one picture. */
export function stackCharts(
  charts: readonly string[],
  { width, height }: { readonly width: number; readonly height: number },
): string {
  const placed = charts.map((chart, index) =>
    chart.replace('<svg ', `<svg y="${index * height}" width="${width}" height="${height}" `),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${charts.length * height}">`,
    ...placed.map((chart) => chart.trimEnd()),
    '</svg>',
    '',
  ].join('\n');
}
