/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SRTP vectors: packets across the rollover and SRTCP, made by an independent implementation from master key and salt; the packet of
 * libsrtp's own test driver. They follow RFC 3711, 6188 and 7714.
 */
#ifndef SRTP_VECTORS_H
#define SRTP_VECTORS_H

struct vector { const char *plain, *wire; };
struct vector_set { const char *suite, *key; struct vector rtp[8], rtcp[3]; };

static const struct vector_set vector_sets[] = {
	{ "AES_CM_128_HMAC_SHA1_80",
	  "30373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb", {
		{ "8080fffd10000000cafebabed5d4d7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6",
		  "8080fffd10000000cafebabe236a32ff0175ac43d9fa5677272d1384bf75ccc14ae8f56a408f3fd7303a" },
		{ "8000fffe100000a0cafebabed4d7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1",
		  "8000fffe100000a0cafebabe3ddbbaddf2777f160110aee790dc4b782c3bdcb2c6fa1660b0401cb1bbf3" },
		{ "8000ffff10000140cafebabed7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0",
		  "8000ffff10000140cafebabe429a8c6ade66e577c553312a89808fff1649cf41d54973ae9307e14c4f7f" },
		{ "90000000100001e0cafebabebede000110aa0000d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3",
		  "90000000100001e0cafebabebede000110aa0000571e0b8163a1fe061ecf2edcf119935a4f48f8df1dc21b773947a341be00" },
		{ "8000000110000280cafebabed1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3c2",
		  "8000000110000280cafebabe20df9660f5608bf46cba0f477f28957380450ebc616d3aa8a43746eda756" },
		{ "8000000210000320cafebabed0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3c2cd",
		  "8000000210000320cafebabe2a84f78c6e33eef4e8a94fdff39c04be9bde670451b0a785976a08defeab" },
	  }, {
		{ "80c80006cafebabee123456789abcdef100000a0000000030000003c",
		  "80c80006cafebabe417e3c2a9f0b877384f9e0dbf43ff8c3583f57b580000001b514589189f3aa93d041" },
		{ "80c80006cafebabee123456789abcdef100000a0000000030000003c",
		  "80c80006cafebabe673e8d89ad9014f60a8a48a41f6dabdf18efbdb680000002d533397b42e5db797522" },
	  } },
	{ "AEAD_AES_256_GCM",
	  "30373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb020910171e252c333a41484f565d", {
		{ "8080fffd10000000cafebabed5d4d7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6",
		  "8080fffd10000000cafebabe08c897801be7c151bfd82adcf4cdc48efab840ad079438a867436b9df54393bbb301d66e" },
		{ "8000fffe100000a0cafebabed4d7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1",
		  "8000fffe100000a0cafebabe8db97ef00c26d9519c0f56d90042cc554be2b201339cb7b1cb47eef50e6a0859d955a1d5" },
		{ "8000ffff10000140cafebabed7d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0",
		  "8000ffff10000140cafebabe0baf71e6a6e78f54bad55a55bad6d96cb0d6418f22f9743f92cde058d0b454b79b632874" },
		{ "90000000100001e0cafebabebede000110aa0000d6d1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3",
		  "90000000100001e0cafebabebede000110aa00004fb9be4e1df1777e78cbb420f3f92519076f565fd96c7e2b2b78f3e4ae96fabcf6e9e054" },
		{ "8000000110000280cafebabed1d0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3c2",
		  "8000000110000280cafebabef2e7bc9c9580442e981ef61b9dd2ec682c54352db2fe5bcacd4ece1fa691fc8d6a763b35" },
		{ "8000000210000320cafebabed0d3d2dddcdfded9d8dbdac5c4c7c6c1c0c3c2cd",
		  "8000000210000320cafebabe93885085fd779ed583de4fb43204a597062b44d696c3c142b820f27e1b90beb71bf68f4f" },
	  }, {
		{ "80c80006cafebabee123456789abcdef100000a0000000030000003c",
		  "80c80006cafebabe46d3cecb2b74663b083edfeaef2cfc674fe9852d76f2f5c3774feb390de9307388f677b880000001" },
		{ "80c80006cafebabee123456789abcdef100000a0000000030000003c",
		  "80c80006cafebabe4da38274f2d8f1fd0e847a2052b9de243466377878ae94bb634150ed0916409ac001c4a580000002" },
	  } },
	{ "AES_CM_128_HMAC_SHA1_80",
	  "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6", {
		{ "800f1234decafbadcafebabeabababababababababababababababab",
		  "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb" },
	  }, {
		{ "81c8000bcafebabeabababababababababababababababab",
		  "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798" },
	  } },
};

#endif
