/** A picture whose cells can be painted over, by pointer or keys. */

export interface Brush {
  /** Shows another picture, nothing painted. */
  take(picture: HTMLCanvasElement): void;
  clear(): void;
  /** [S, S], 1 for pixels of painted cells. */
  pixels(): Uint8Array;
}

const keys: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/**
 * @param o.side cells in a row. @param o.size pixels in a row
 * @param o.paints whether cells can be painted, else the picture is only shown
 * @param o.width cells that a stroke is wide. @param o.say for people who do not see the cells
 */
export function setUpBrush(
  canvas: HTMLCanvasElement,
  o: {
    readonly side: number;
    readonly size: number;
    readonly paints: boolean;
    readonly width: () => number;
    readonly say: (text: string) => void;
  },
): Brush {
  const { side, size } = o;
  const zoom = Math.max(1, Math.ceil(512 / size));
  const cell = (size * zoom) / side;
  const painted = new Uint8Array(side * side);
  let [column, row] = [0, 0];
  let picture: HTMLCanvasElement | undefined;
  let stroke: number | undefined; // what the pointer paints: 1, or 0 where it began on a painted cell

  const redraw = (): void => {
    const context = canvas.getContext('2d');
    if (!context) return;
    Object.assign(canvas, { width: size * zoom, height: size * zoom });
    context.imageSmoothingEnabled = false;
    if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const square = (at: number): [number, number, number, number] => [
      (at % side) * cell,
      Math.floor(at / side) * cell,
      cell,
      cell,
    ];
    for (const [at, is] of painted.entries()) {
      if (is === 0) continue;
      context.fillStyle = 'rgb(214 60 130 / 0.6)';
      context.fillRect(...square(at));
    }
    if (o.paints && document.activeElement === canvas && canvas.matches(':focus-visible')) {
      const [x, y] = square(row * side + column);
      for (const [style, inset] of [
        ['#fff', 1],
        ['#000', 3],
      ] as const) {
        context.strokeStyle = style;
        context.lineWidth = 2;
        context.strokeRect(x + inset, y + inset, cell - 2 * inset, cell - 2 * inset);
      }
    }
  };

  /** Paints a square of cells around one. */
  const paint = (x: number, y: number, value: number): void => {
    const width = o.width();
    const [left, top] = [x - Math.floor((width - 1) / 2), y - Math.floor((width - 1) / 2)];
    for (let at = 0; at < side * side; at++) {
      const [dx, dy] = [(at % side) - left, Math.floor(at / side) - top];
      if (dx >= 0 && dx < width && dy >= 0 && dy < width) painted[at] = value;
    }
    redraw();
  };

  const cellAt = ({ offsetX, offsetY }: PointerEvent): [number, number] => {
    const at = (offset: number, length: number): number =>
      Math.min(side - 1, Math.max(0, Math.floor((offset / length) * side)));
    return [at(offsetX, canvas.clientWidth), at(offsetY, canvas.clientHeight)];
  };

  if (o.paints) {
    canvas.addEventListener('pointerdown', (event) => {
      const [x, y] = cellAt(event);
      canvas.setPointerCapture(event.pointerId);
      stroke = painted[y * side + x] === 1 && o.width() === 1 ? 0 : 1;
      paint(x, y, stroke);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (stroke !== undefined) paint(...cellAt(event), stroke);
    });
    for (const end of ['pointerup', 'pointercancel'] as const)
      canvas.addEventListener(end, () => {
        stroke = undefined;
      });
    canvas.addEventListener('keydown', (event) => {
      const [dx, dy] = keys[event.key] ?? [0, 0];
      const is = () => painted[row * side + column] ?? 0;
      if (event.key === ' ') paint(column, row, 1 - is());
      else if (dx === 0 && dy === 0) return;
      event.preventDefault();
      column = Math.min(side - 1, Math.max(0, column + dx));
      row = Math.min(side - 1, Math.max(0, row + dy));
      redraw();
      o.say(`Row ${row + 1}, column ${column + 1}: ${is() ? 'painted' : 'kept'}`);
    });
    for (const end of ['focus', 'blur'] as const) canvas.addEventListener(end, redraw);
  }
  redraw();
  return {
    take(other) {
      picture = other;
      painted.fill(0);
      redraw();
    },
    clear() {
      painted.fill(0);
      redraw();
    },
    pixels: () =>
      Uint8Array.from(
        { length: size * size },
        (_, i) =>
          painted[
            Math.floor((Math.floor(i / size) * side) / size) * side + Math.floor(((i % size) * side) / size)
          ] ?? 0,
      ),
  };
}
