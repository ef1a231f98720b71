// Pivot: a row for each quarter, a column for each brand, the amount in the cell.
//
// - Rows that fall into the same cell are added up, in whole cents: sums of binary fractions
//   drift (0.1 + 0.2). An amount with more than two decimals is rounded to the nearest cent first.
// - A cell without any amount is null. It is not 0: nobody said that nothing was spent.
// - A row that has no cell (no quarter, no brand), or an amount that is no number, ends the run
//   with an error that names the row: left out, it would make a wrong total that nobody sees.
// - Quarters and columns are in order, whatever the input's. Every row has every column.
// - Brands are the columns, not quarters: keys that look like whole numbers ("20231") would
//   come first in a JavaScript object, whatever order one puts them in.
function process(data) {
  const cells = new Map(); // quarter → brand → cents, or null
  const brands = new Set();

  for (const [index, row] of data.entries()) {
    const { trimestre, nomeBandeira, valorTransacoesNacionais: amount = null } = row;
    if (!trimestre) throw new TypeError(`row ${index + 1} has no trimestre`);
    if (!nomeBandeira) throw new TypeError(`row ${index + 1} has no nomeBandeira`);
    if (amount !== null && typeof amount !== "number") {
      throw new TypeError(`row ${index + 1}: valorTransacoesNacionais is not a number`);
    }
    if (!cells.has(trimestre)) cells.set(trimestre, new Map());
    const sums = cells.get(trimestre);
    sums.set(nomeBandeira, add(sums.get(nomeBandeira) ?? null, centsOf(amount)));
    brands.add(nomeBandeira);
  }

  const columns = [...brands].sort();
  return [...cells.keys()].sort().map(trimestre => {
    const amounts = columns.map(brand => cells.get(trimestre).get(brand) ?? null);
    return {
      trimestre,
      // A key by the data's choice: fromEntries also takes "__proto__" for a name like any other.
      valorPorBandeira: Object.fromEntries(columns.map((brand, i) => [brand, reais(amounts[i])])),
      total: reais(amounts.reduce(add, null)),
    };
  });
}

const add = (a, b) => (a === null ? b : b === null ? a : a + b);
const centsOf = amount => (amount === null ? null : Math.round(amount * 100));
const reais = cents => (cents === null ? null : cents / 100);
