include $(sort $(wildcard $(BR2_EXTERNAL_CMEM_PATH)/package/*/*.mk))
