package main

import (
	"errors"
	"strconv"

	"github.com/docker/go-units"
)

// sizeFlag is a number of bytes as a flag: 536870912, 512M or 512MiB. A K is
// 1,024 bytes, with a B behind it or without.
type sizeFlag int64

// String implements pflag.Value.
func (s *sizeFlag) String() string { return strconv.FormatInt(int64(*s), 10) }

// Set implements pflag.Value.
func (s *sizeFlag) Set(text string) error {
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		return errors.New("expected a size such as 536870912, 512M or 2G")
	}
	*s = sizeFlag(n)
	return nil
}

// Type implements pflag.Value.
func (*sizeFlag) Type() string { return "size" }
