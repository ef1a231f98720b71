// Pivot: one row per quarter, one column per brand, amounts in the cells.
//
// - Amounts of one cell are added in whole cents, since sums of binary fractions drift
//   (0.1 + 0.2). An amount with more than two decimals is first rounded to the nearest cent.
// - A cell without an amount is null, not 0: the data does not say that nothing was spent.
// - A row without a quarter or a brand, or with an amount that is not a number, ends the run
//   with an error that names the row: to skip it would make the total wrong unnoticed.
// - Quarters and columns are sorted. Every row has every column.
// - Brands are the columns rather than quarters, because JavaScript objects put keys that look
//   like integers ("20231") first.
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
