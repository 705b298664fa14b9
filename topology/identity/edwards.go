package identity

import (
	"errors"
	"math/big"
	"slices"
)

// The refusals of an Ed25519 public key.
var (
	ErrSmallOrder   = errors.New("ed25519 key is a point of small order")
	ErrNonCanonical = errors.New("ed25519 key is not canonically encoded")
	ErrOffCurve     = errors.New("ed25519 key is not a point of the curve")
)

// The curve of RFC 8032 §5.1: -x² + y² = 1 + d·x²·y² over the integers modulo p = 2²⁵⁵ - 19.
var (
	edP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	edD = hexInt("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3")
)

// smallOrderY holds the y coordinates of the eight points whose order divides 8: y = 1 has order 1, -1 order 2, 0 order 4 (two
// points), and the last two order 8 (two points each). With such a key everybody can make signatures that verify.
var smallOrderY = []*big.Int{
	big.NewInt(0),
	big.NewInt(1),
	new(big.Int).Sub(edP, big.NewInt(1)),
	hexInt("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
	hexInt("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
}

// hexInt reads a constant of this file.
func hexInt(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("identity: bad constant " + s)
	}
	return n
}

// checkEd25519 refuses public keys that are no honest generator's output: crypto/ed25519 accepts them all and leaves the check to
// the user. Public data only, so variable time is no harm.
func checkEd25519(pk []byte) error {
	le := slices.Clone(pk)
	le[31] &= 0x7f // the sign of x
	slices.Reverse(le)
	y := new(big.Int).SetBytes(le)
	if y.Cmp(edP) >= 0 {
		return ErrNonCanonical
	}
	for _, small := range smallOrderY {
		if y.Cmp(small) == 0 {
			return ErrSmallOrder
		}
	}
	// x² = (y² - 1) / (d·y² + 1) has a root exactly when numerator times denominator is a square.
	y2 := new(big.Int).Mul(y, y)
	num := new(big.Int).Sub(y2, big.NewInt(1))
	den := new(big.Int).Mul(edD, y2)
	den.Add(den, big.NewInt(1))
	num.Mul(num, den)
	if big.Jacobi(num.Mod(num, edP), edP) != 1 {
		return ErrOffCurve
	}
	return nil
}
