"""What models must show over their life: bad ones are stopped, good ones earn money; on real and made-up cases."""
