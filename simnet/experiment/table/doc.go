// Package table is results as rows and columns, and the two files they are handed on in: CSV for people and spreadsheets, Parquet for
// everything that counts millions. Both hold the same cells.
//
// What it promises: the same table gives the same bytes; an absent value is an empty field or a null, never a zero; the experiment's
// hash and the build stand in every row of the one and in the metadata of the other.
//
// What an attacker may do: choose names. A field that a spreadsheet would take for a formula cannot occur: names of experiments are
// letters, digits and dashes, and swept values that begin with =, +, - or @ are written behind an apostrophe.
package table
