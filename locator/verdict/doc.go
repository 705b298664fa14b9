// Package verdict says whether a core is proven to be inside a permitted region.
//
// What it believes: the observations are facts (verified statements), and the assumptions that the verdict names: the signal speed
// class, at most f faulty fault domains, a core slower than v_max. From these locator/region makes a set of cells that holds the
// core, and this package compares it with the permit.
//
//	Inside        the region is not empty and every kept cell is certainly permitted
//	Outside       the region is not empty and no kept cell touches what is permitted
//	Inconsistent  the region is empty: more than f domains lie (an empty set is a subset of everything: never Inside)
//	Undetermined  otherwise: the region reaches both, too few domains or statements, too old, unusable input
//
// What it promises.
//
//   - Only Judge makes an Inside: the fields of Verdict are its own, and the zero Verdict denies.
//   - Delay never helps: if a verdict is Undetermined or Outside, then adding delay, dropping statements, raising f, ages or
//     uncertainties never makes it Inside. Each of these only weakens evidence. Package region proves that weaker evidence never
//     makes the comparison with the permit better; a statement that is too old counts as dropped, never as an error that its
//     owner could cure by leaving it out; domains and statements are counted, and dropping lowers both counts, while f raises
//     the number of domains wanted. Adding delay to an Inconsistent verdict may end that inconsistency; so it must, as delay is
//     innocent.
//   - It explains itself, beacon by beacon. Explanations are computed when asked for: a judgement is cheap enough for every request,
//     an explanation costs as much as some hundred judgements.
//
// What an attacker may do: whatever region allows. Malformed input is an error with a sentinel, and its verdict denies.
package verdict
