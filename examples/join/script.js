// Join by key: add the institution to each row of the quarter's statistics.
//
// A left join on the eight-digit ISPB code. The result has every statistics row once, in order:
// - one system writes the code as a text, another as a number without leading zeros;
// - if the register has several entries with one code, the newest counts;
// - a row whose code is missing or unknown keeps its figures with `instituicao: null`, and the
//   code is listed: a join that drops rows hides a problem.
function process({ estatisticas, instituicoes }) {
  const register = newestByCode(instituicoes);

  const linhas = estatisticas.map(({ ispb, ...figures }) => {
    const code = ispbOf(ispb);
    const found = register.get(code);
    return {
      ispb: code,
      instituicao: found?.nome ?? null,
      segmento: found?.segmento ?? null,
      ...figures,
    };
  });

  const semCadastro = new Set(linhas.filter(row => !register.has(row.ispb)).map(row => row.ispb));
  return { linhas, semCadastro: [...semCadastro] };
}

function newestByCode(institutions) {
  const newest = new Map();
  for (const institution of institutions) {
    const code = ispbOf(institution.ispb);
    if (code === null) continue; // nothing can be joined to it
    const known = newest.get(code);
    // ISO dates compare as text. On the same day the later entry counts.
    if (!known || institution.atualizadoEm >= known.atualizadoEm) newest.set(code, institution);
  }
  return newest;
}

// "00000208", " 208 " and 208 are one code; null for what is none.
function ispbOf(value) {
  const digits = String(value ?? "").trim();
  return /^\d{1,8}$/.test(digits) ? digits.padStart(8, "0") : null;
}
